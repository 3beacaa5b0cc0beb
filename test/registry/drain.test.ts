import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { authorization, startMirror, type MirrorUnderTest } from '../support/mirror.js'
import { Connection } from '../support/connection.js'

const MiB = 1024 * 1024
const DIGEST = `sha256:${'a'.repeat(64)}`
const ZEROS = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'
const auth = `Authorization: ${authorization}\r\n`

async function begin({ ecr, fetch }: MirrorUnderTest): Promise<string> {
  ecr.createRepository('team/app')
  const answer = await fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
  t.equal(answer.status, 202)
  return answer.headers.get('location')!
}

/** Sends a body as fast as it is taken, until all is sent or the connection ends. */
async function pump({ socket }: Connection, bytes: number): Promise<void> {
  const chunk = randomBytes(256 * 1024)
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += chunk.length) {
    const piece = chunk.subarray(0, Math.min(chunk.length, bytes - sent))
    if (!socket.write(piece))
      await new Promise<void>(resolve => {
        const go = (): void => {
          socket.off('drain', go)
          socket.off('close', go)
          resolve()
        }
        socket.on('drain', go)
        socket.on('close', go)
      })
  }
}

t.test('an early answer reaches who sends first and reads later, and the connection lives on', async t => {
  const mirror = await startMirror(t, {
    settings: { policy: [{ principals: ['ci'], repositories: ['team/**'], actions: ['pull', 'push'] }] },
  })
  const { ecr, url } = mirror
  const size = 8 * MiB
  type Row = readonly [what: string, status: number, head: () => Promise<string>]
  const rows: Row[] = [
    ['no login', 401, async () => `PATCH ${await begin(mirror)} HTTP/1.1\r\nHost: m\r\n`],
    ['not granted', 403, async () => `PUT /v2/other/app/manifests/v1 HTTP/1.1\r\nHost: m\r\n${auth}`],
    ['unknown session', 404, async () => `PATCH /v2/team/app/blobs/uploads/x HTTP/1.1\r\nHost: m\r\n${auth}`],
    ['no endpoint', 404, async () => `POST /v2/team/app/else HTTP/1.1\r\nHost: m\r\n${auth}`],
    ['no method', 405, async () => `POST /v2/team/app/blobs/${DIGEST} HTTP/1.1\r\nHost: m\r\n${auth}`],
    [
      'a manifest that is too large',
      413,
      async () => `PUT /v2/team/app/manifests/v1 HTTP/1.1\r\nHost: m\r\n${auth}`,
    ],
    [
      'a chunk out of order',
      416,
      async () => `PATCH ${await begin(mirror)} HTTP/1.1\r\nHost: m\r\n${auth}Content-Range: 7-9\r\n`,
    ],
    [
      'a bad Content-Range',
      400,
      async () => `PATCH ${await begin(mirror)} HTTP/1.1\r\nHost: m\r\n${auth}Content-Range: x\r\n`,
    ],
    [
      'a refusal by ECR',
      403,
      async () => {
        const location = await begin(mirror)
        ecr.knobs.answer.UploadLayerPart = [{ status: 403, body: '{"errors":[{"code":"DENIED"}]}' }]
        return `PATCH ${location} HTTP/1.1\r\nHost: m\r\n${auth}`
      },
    ],
    [
      'ECR has forgotten it',
      404,
      async () => {
        const location = await begin(mirror)
        ecr.knobs.answer.CompleteLayerUpload = [{ status: 404 }]
        return `PUT ${location}?digest=${ZEROS} HTTP/1.1\r\nHost: m\r\n${auth}`
      },
    ],
    [
      'ECR broke off',
      502,
      async () => {
        const location = await begin(mirror)
        ecr.knobs.resetConnection.UploadLayerPart = 1
        return `PATCH ${location} HTTP/1.1\r\nHost: m\r\n${auth}`
      },
    ],
  ]
  for (const chunked of [false, true]) {
    for (const [what, status, head] of rows) {
      const client = new Connection(url)
      client.socket.pause()
      const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${size}`
      client.socket.write(`${await head()}${framing}\r\n\r\n`)
      if (chunked) client.socket.write(`${size.toString(16)}\r\n`)
      await pump(client, size)
      if (chunked) client.socket.write('\r\n0\r\nX-Trailer: none\r\n\r\n')
      client.socket.write(`GET /v2/ HTTP/1.1\r\nHost: m\r\n${auth}Connection: close\r\n\r\n`)
      client.socket.resume()
      const answers = (await client.closed).match(/HTTP\/1\.1 \d{3}/g)
      t.same(answers, [`HTTP/1.1 ${status}`, 'HTTP/1.1 200'], `${what}${chunked ? ', chunked' : ''}`)
    }
  }
})

t.test('no token to be had: the answer comes though nobody wants the body', async t => {
  const mirror = await startMirror(t, { deps: { renewAfter: 0 } })
  const location = await begin(mirror)
  await pause(1100)
  mirror.ecr.expireTokens()
  mirror.ecr.knobs.answer.UploadLayerPart = [{ status: 401, body: 'Not Authorized\n' }]
  const client = new Connection(mirror.url)
  client.socket.write(
    `PATCH ${location} HTTP/1.1\r\nHost: m\r\n${auth}Connection: close\r\nContent-Length: ${8 * MiB}\r\n\r\n`,
  )
  await pump(client, 8 * MiB)
  t.match(await client.closed, /^HTTP\/1\.1 503[\s\S]*retry-after: 1/i)
})

t.test('who was refused and sends on for ever, slowly, is cut off', async t => {
  const { url } = await startMirror(t)
  const client = new Connection(url)
  client.socket.write(
    `PATCH /v2/team/app/blobs/uploads/x HTTP/1.1\r\nHost: m\r\nContent-Length: 1000000\r\n\r\n`,
  )
  await client.seen('401 Unauthorized')
  const sending = setInterval(() => client.socket.write('x'), 200)
  t.match(await client.closed, /401/)
  clearInterval(sending)
})

t.test('who waits for 100 Continue and is refused has sent nothing in vain', async t => {
  const { url } = await startMirror(t)
  const client = new Connection(url)
  client.socket.write(
    'PATCH /v2/team/app/blobs/uploads/x HTTP/1.1\r\nHost: m\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n',
  )
  t.match(await client.closed, /^HTTP\/1\.1 401[\s\S]*connection: close/i)
})

t.test('a body that is expected is asked for, and only 100-continue can be expected', async t => {
  const mirror = await startMirror(t)
  const location = await begin(mirror)
  const client = new Connection(mirror.url)
  client.socket.write(
    `PATCH ${location} HTTP/1.1\r\nHost: m\r\n${auth}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
  )
  await client.seen('100 Continue')
  client.socket.write('hello')
  await client.seen('202 Accepted')
  client.socket.destroy()
  const odd = new Connection(mirror.url)
  odd.socket.write(`GET /v2/ HTTP/1.1\r\nHost: m\r\n${auth}Expect: the-unexpected\r\n\r\n`)
  t.match(await odd.closed, /^HTTP\/1\.1 417[\s\S]*"errors"/)
})
