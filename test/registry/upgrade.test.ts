import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { authorization, startMirror } from '../support/mirror.js'
import { sendRaw } from '../support/raw.js'

const HEAD = `Host: m\r\nAuthorization: ${authorization}\r\n`
const get = (more = '', tag = 'v1'): string =>
  `GET /v2/team/app/manifests/${tag} HTTP/1.1\r\n${HEAD}${more}\r\n`
const LAST = get('Connection: close\r\n')

/** As curl and Java's HttpClient ask for HTTP/2 without TLS (RFC 7540, section 3.2). */
const H2C =
  'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n'

const statuses = (received: string): string[] => received.match(/HTTP\/1\.1 \d{3}/g) ?? []

/** Sends each request when the answer to the one before is there; gives the answers. */
async function oneByOne(url: string, requests: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect({ port: Number(port), host: hostname, noDelay: true })
  let received = ''
  let sent = 0
  const sendNext = (): void => {
    const next = requests[sent++]
    if (next === undefined) socket.end()
    else socket.write(next)
  }
  socket.on('data', chunk => {
    received += chunk.toString('latin1')
    if (statuses(received).length >= sent) sendNext()
  })
  socket.on('error', () => undefined)
  sendNext()
  await once(socket, 'close')
  return received
}

t.test('another protocol that is asked for is ignored, and nothing about it goes upstream', async t => {
  const { url, ecr } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  for (const more of [
    H2C,
    'Connection: upgrade\r\n',
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n',
    'Connection: TE\r\nTE: trailers\r\n',
    'Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n',
    'Connection:\r\nTrailer: X\r\n',
  ]) {
    const upload = `POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\n${HEAD}${more}Content-Length: 0\r\n\r\n`
    const received = await oneByOne(url, [get(more), get(more), upload, get(), LAST])
    t.same(
      statuses(received),
      [200, 200, 202, 200, 200].map(status => `HTTP/1.1 ${status}`),
      `${more} and then others`,
    )
  }
  const hopByHop =
    /^(?:upgrade|http2-settings|te|trailer|keep-alive|proxy-connection|x-hop|sec-websocket-key)$/i
  for (const { headers } of ecr.requests) {
    t.same(
      Object.keys(headers).filter(name => hopByHop.test(name)),
      [],
    )
    t.notMatch(headers.connection, /upgrade|te|x-hop/i)
  }
})

t.test(
  'a connection ends with the answer where Node may have dropped what stood behind such a request',
  async t => {
    const { url, ecr } = await startMirror(t)
    await ecr.putImage('team/app', 'v1')
    const body = 'Content-Length: 5\r\nContent-Type: application/octet-stream\r\n'
    const begin = `POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\n${HEAD}${H2C}`
    const rows: [what: string, requests: string, answers: number][] = [
      ['another request', get(H2C) + LAST, 1],
      ['the beginning of another', get(H2C) + get().slice(0, 30), 1],
      ['the same behind an ordinary request', get() + get(H2C) + LAST, 2],
      ['its own body and a request', `${begin}${body}\r\nhello${LAST}`, 1],
      ['a chunked body', `${begin}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n${LAST}`, 1],
    ]
    for (const [what, requests, answers] of rows) {
      const received = await sendRaw(url, requests)
      t.equal(statuses(received).length, answers, what)
      t.match(received, /^connection: close\r$/im, what)
    }
  },
)

t.test('what comes after such a request is never read from its middle', async t => {
  const { url, ecr } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  await ecr.arrived({ action: 'GetAuthorizationToken' })
  const hidden = get('', 'hidden')
  const { hostname, port } = new URL(url)
  const socket = connect({ port: Number(port), host: hostname, noDelay: true })
  const closed = once(socket, 'close')
  socket.on('error', () => undefined)
  let received = ''
  socket.on('data', chunk => (received += chunk.toString('latin1')))
  // The head of the second request in one read with the first; its body, which looks like a request, in the next.
  socket.write(
    get(H2C) +
      `PUT /v2/team/app/manifests/x HTTP/1.1\r\n${HEAD}Content-Type: a/b\r\nContent-Length: ${hidden.length}\r\n\r\n`,
  )
  await once(socket, 'data')
  socket.write(hidden)
  await closed
  t.same(statuses(received), ['HTTP/1.1 200'])
  t.notOk(ecr.requests.some(({ url }) => url.includes('hidden')))
})

t.test(
  'a Connection that names a field for all recipients is refused, whatever stands beside it',
  async t => {
    const { url, ecr } = await startMirror(t)
    await ecr.putImage('team/app', 'v1')
    await ecr.arrived({ action: 'GetAuthorizationToken' })
    const before = ecr.requests.length
    for (const field of ['Authorization', 'host', 'Content-Length', 'TRANSFER-ENCODING', 'Range', 'Accept'])
      for (const more of [
        `Connection: ${field}\r\n`,
        `Connection: Upgrade, ${field}\r\nUpgrade: h2c\r\n`,
        `Connection: close\r\nConnection: TE,${field}\r\n`,
      ]) {
        const received = await sendRaw(url, get(more) + LAST)
        t.same(statuses(received), ['HTTP/1.1 400'], more)
      }
    t.equal(ecr.requests.length, before)
  },
)
