import { createHash } from 'node:crypto'
import { createServer, type Socket, type AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Client, pull, type Door } from '../../bench/client/client.js'
import { load } from '../../bench/client/load.js'
import type { Wanted } from '../../bench/client/wanted.js'

const BODY = 'a blob'
const WANTED: Wanted = {
  path: '/v2/team/app/blobs/x',
  accept: '*/*',
  digest: `sha256:${createHash('sha256').update(BODY).digest('hex')}`,
  size: BODY.length,
}
const ok = (body: string, length = body.length) =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${body}`

/** A server that answers every request with the same text, in pieces of `piece` bytes, and keeps what it was asked. */
async function serverOf(t: Test, answer: string, piece = answer.length) {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket.setNoDelay(true))
    socket.on('error', () => undefined)
    socket.on('data', chunk => {
      requests.push(chunk.toString())
      void (async () => {
        for (let at = 0; at < answer.length; at += piece) {
          socket.write(answer.slice(at, at + piece))
          await turn()
        }
      })()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const door: Door = { address: { hostname: '127.0.0.1', port }, authorization: 'Basic eDp5' }
  return { door, port, requests }
}

t.test('an answer counts whole, in whichever pieces it comes', async t => {
  for (const piece of [1, 7, 100]) {
    const { door, requests } = await serverOf(t, ok(BODY), piece)
    await pull(door, WANTED, 'digest')
    t.match(requests[0], /^GET \/v2\/team\/app\/blobs\/x HTTP\/1\.1\r\n/)
    t.match(requests[0], '\r\nAuthorization: Basic eDp5\r\n')
  }
})

t.test('what is not what was asked for fails', async t => {
  const failing = async (answer: string, message: RegExp) => {
    const { door } = await serverOf(t, answer)
    await t.rejects(pull(door, WANTED, 'digest'), message)
  }
  await failing(ok('a blub'), /came with other bytes/)
  await failing(ok('a'), /has 1 bytes, not 6/)
  await failing('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno', /401 Unauthorized/)
  await failing('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', /without a length/)
})

t.test('a connection that breaks off fails what waits for it', async t => {
  const server = createServer(socket => void socket.end(ok(BODY, 100)))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void server.close())
  const { port } = server.address() as AddressInfo
  const door = { address: { hostname: '127.0.0.1', port }, authorization: '' }
  await t.rejects(pull(door, WANTED, 'length'), /closed the connection/)
})

t.test('a redirect is followed on one connection more, without the password', async t => {
  const there = await serverOf(t, ok(BODY))
  const location = `http://127.0.0.1:${there.port}/place?signed=1`
  const here = await serverOf(t, `HTTP/1.1 307 \r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`)
  await Client.with(here.door, async client => {
    await client.get(WANTED, 'digest')
    await client.get(WANTED, 'digest')
  })
  t.equal(there.requests.length, 2)
  t.match(there.requests[0], /^GET \/place\?signed=1 /)
  t.notMatch(there.requests.join(), /Authorization/i)
})

t.test('a load asks on all its connections until it is told to end', async t => {
  const { door, requests } = await serverOf(t, ok(BODY))
  const done = await load(door, [WANTED], { connections: 3, verify: 'digest', goesOn: count => count < 10 })
  t.equal(done, 10)
  t.equal(requests.length, 10)
})
