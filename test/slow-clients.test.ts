import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { markBulk } from '../src/registry/bulk.js'
import { onceOver } from '../src/registry/once-over.js'
import { SlowClients } from '../src/slow-clients.js'

const GRACE = 500

interface Watched {
  /** Opens a connection and sends the head of a request. */
  readonly send: (head: string) => Socket
  /** The paths of those who were found too slow. */
  readonly slow: string[]
}

async function watched(t: Test, onRequest: RequestListener): Promise<Watched> {
  const slow: string[] = []
  const clients = new SlowClients({
    grace: GRACE,
    onTooSlow: ({ url = '', socket }) => {
      slow.push(url)
      socket.destroy()
    },
  })
  const server = createServer((request, response) => {
    clients.begin(request, response)
    onceOver(request, response, () => clients.over(response))
    onRequest(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const sockets: Socket[] = []
  t.teardown(() => {
    clients.end()
    sockets.forEach(socket => socket.destroy())
    server.close()
  })
  return {
    slow,
    send(head) {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(`${head}\r\nHost: m\r\n\r\n`)
      sockets.push(socket)
      return socket
    },
  }
}

t.test(
  'an answer that is not taken is waited for no longer than its size is worth, however it trickles',
  async t => {
    const bytes = Buffer.alloc(32 * 1024 * 1024)
    const { send, slow } = await watched(t, (request, response) => {
      if (request.url === '/bulk') markBulk(response)
      // In pieces, as blobs are sent, so that something of it moves for as long as it is read at all.
      const more = (position: number): void => {
        if (position >= bytes.length) response.end()
        else response.write(bytes.subarray(position, position + 16 * 1024), () => more(position + 16 * 1024))
      }
      more(0)
    })
    const trickling = ['/small', '/bulk'].map(path => {
      const socket = send(`GET ${path} HTTP/1.1`)
      socket.pause()
      return once(socket, 'close')
    })
    const reading = send('GET /read HTTP/1.1')
    let read = 0
    reading.on('data', chunk => (read += chunk.length))
    while (read < bytes.length) await pause(10)
    while (slow.length < trickling.length) await pause(10)
    t.same(slow.sort(), ['/bulk', '/small'])
  },
)

t.test('what somebody here is waited for is nobody else’s slowness', async t => {
  const { send, slow } = await watched(t, (request, response) => {
    if (request.url === '/late') {
      request.resume()
      setTimeout(() => response.end('late'), 3 * GRACE)
    } else if (request.url === '/held') {
      // As an upstream does that takes nothing for a while.
      request.once('data', () => {
        request.pause()
        setTimeout(() => request.resume(), 3 * GRACE)
      })
      request.once('end', () => response.end('held'))
    } else request.resume()
  })
  const late = send('PUT /late HTTP/1.1\r\nContent-Length: 2')
  late.write('{}')
  const held = send('PUT /held HTTP/1.1\r\nContent-Length: 200000')
  held.write(Buffer.alloc(200_000))
  const slowly = send('PUT /slowly HTTP/1.1\r\nContent-Length: 200')
  const trickle = setInterval(() => slowly.write('x'), 50)
  t.teardown(() => clearInterval(trickle))
  const [answers] = await Promise.all([
    Promise.all([late, held].map(async socket => String((await once(socket, 'data'))[0]))),
    once(slowly, 'close'),
  ])
  t.ok(answers.every(answer => answer.startsWith('HTTP/1.1 200')))
  t.same(slow, ['/slowly'])
})
