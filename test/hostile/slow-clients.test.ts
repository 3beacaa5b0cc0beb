import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { makeCertificate } from '../support/certificate.js'
import { Connection } from '../support/connection.js'
import { authorization, mirrorOf, startMirror } from '../support/mirror.js'
import { ask } from '../support/requests.js'
import { digestOf } from '../support/pushing.js'
import { countOf } from './support/attacks.js'
import { untilUsed } from '../support/budget-use.js'

const HEAD = `Host: m\r\nAuthorization: ${authorization}\r\n`
const LIMITS = { maxRequests: 60, idleTimeout: '1s', headersTimeout: '500ms' }
/** So many of each kind hang on the mirror at once. */
const CLIENTS = 10
const LARGE = 64 * 1024 * 1024

t.setTimeout(120_000)

async function directoryFor(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'slow-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

interface SlowClient {
  readonly what: string
  /** What is sent, piece by piece, each some time after the one before; then nothing more. */
  readonly pieces: (location: string, large: string) => readonly string[]
  /** Whether what comes back is read. */
  readonly reads: boolean
  /** Which time it oversteps. */
  readonly budget: 'headers_time' | 'idle_time'
  /** The status that it is told, where it is sure to be told one. */
  readonly answer?: number
}

const SLOW: readonly SlowClient[] = [
  { what: 'says nothing', pieces: () => [], reads: true, budget: 'headers_time' },
  { what: 'half a request line', pieces: () => ['GET /v2'], reads: true, budget: 'headers_time' },
  {
    what: 'a header at a time, without an end',
    pieces: () => [`GET /v2/ HTTP/1.1\r\n${HEAD}`, ...Array.from({ length: 8 }, (_, at) => `X-${at}: 1\r\n`)],
    reads: true,
    budget: 'headers_time',
  },
  {
    what: 'a manifest of which half comes',
    pieces: () => [`PUT /v2/team/app/manifests/x HTTP/1.1\r\n${HEAD}Content-Length: 100\r\n\r\n`, '{"a":'],
    reads: true,
    budget: 'idle_time',
  },
  {
    what: 'a manifest a byte at a time, without an end',
    pieces: () => [
      `PUT /v2/team/app/manifests/x HTTP/1.1\r\n${HEAD}Content-Length: 100\r\n\r\n`,
      ...Array.from({ length: 60 }, () => '{'),
    ],
    reads: true,
    budget: 'idle_time',
    answer: 408,
  },
  {
    what: 'a chunk of a layer a byte at a time, without an end',
    pieces: location => [
      `PATCH ${location} HTTP/1.1\r\n${HEAD}Content-Length: 100000\r\n\r\n`,
      ...Array.from({ length: 60 }, () => 'x'),
    ],
    reads: true,
    budget: 'idle_time',
    answer: 408,
  },
  {
    what: 'a chunk of a layer of which half comes',
    pieces: location => [
      `PATCH ${location} HTTP/1.1\r\n${HEAD}Content-Length: 100000\r\n\r\n`,
      'x'.repeat(50),
    ],
    reads: true,
    budget: 'idle_time',
  },
  {
    what: 'the size of a chunk, a digit at a time',
    pieces: location => [
      `PATCH ${location} HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n`,
      ...['0', '0', '0', '1'],
    ],
    reads: true,
    budget: 'idle_time',
  },
  {
    what: 'a large layer that is not read',
    pieces: (_location, large) => [`GET ${large} HTTP/1.1\r\n${HEAD}\r\n`],
    reads: false,
    budget: 'idle_time',
  },
]

t.test('slow clients are let go, and others are served meanwhile', async t => {
  const directory = await directoryFor(t)
  const mirror = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    settings: { limits: LIMITS, cache: { directory } },
  })
  const { ecr, app, url, fetch: get } = mirror
  const { operationsUrl } = app
  await ecr.putImage('team/app', 'v1')
  const { digest } = await ecr.putBlob('team/app', { size: LARGE, seed: 'large' })
  const large = `/v2/team/app/blobs/${digest}`
  t.equal((await ask(url + large, { headers: { authorization } })).bytes.length, LARGE)

  for (const { what, pieces, reads, budget, answer: status } of SLOW)
    await t.test(what, async t => {
      const before = await untilUsed(operationsUrl, ({ in_use }) => in_use.requests === 0)
      const locations = await Promise.all(
        Array.from({ length: CLIENTS }, async () => {
          const begun = await get('/v2/team/app/blobs/uploads/', { method: 'POST' })
          return begun.headers.get('location') ?? ''
        }),
      )
      const clients = locations.map(location => {
        const client = new Connection(url)
        if (!reads) client.socket.pause()
        void (async () => {
          for (const piece of pieces(location, large)) {
            client.socket.write(piece)
            await pause(100)
          }
        })()
        return client
      })
      const served = await Promise.all(Array.from({ length: 20 }, () => get('/v2/team/app/manifests/v1')))
      t.same([...new Set(served.map(({ status }) => status))], [200], 'others are served')
      // Whoever does not read does not hear that the connection was closed either.
      const told = await untilUsed(
        operationsUrl,
        ({ refusals_total: now }) => (now[budget] ?? 0) >= (before.refusals_total[budget] ?? 0) + CLIENTS,
      )
      t.equal(told.refusals_total[budget], (before.refusals_total[budget] ?? 0) + CLIENTS)
      for (const { socket } of clients) socket.resume()
      const answers = await Promise.all(clients.map(({ closed }) => closed))
      t.ok(answers.every(answer => !/HTTP\/1\.1 20[12]/.test(answer) && answer.length < LARGE))
      if (status !== undefined) t.ok(answers.every(answer => answer.startsWith(`HTTP/1.1 ${status} `)))
      await untilUsed(operationsUrl, ({ in_use }) => in_use.requests === 0 && in_use.manifest_memory === 0)
      await ecr.settled()
    })

  await t.test('but a push that moves may take longer than anybody may stand still', async t => {
    const bytes = randomBytes(12 * 1024)
    const begun = await get('/v2/team/app/blobs/uploads/', { method: 'POST' })
    const client = new Connection(url)
    client.socket.write(
      `PUT ${begun.headers.get('location')}?digest=${digestOf(bytes)} HTTP/1.1\r\n${HEAD}Content-Length: ${bytes.length}\r\n\r\n`,
    )
    // Twelve times a quarter of the limit.
    for (let at = 0; at < bytes.length; at += 1024) {
      await pause(250)
      client.socket.write(bytes.subarray(at, at + 1024))
    }
    await client.seen('HTTP/1.1 201')
    t.ok((await ecr.blob('team/app', digestOf(bytes))?.bytes())?.equals(bytes))
    client.socket.destroy()
  })
})

t.test('TLS: who does not finish the handshake is let go', async t => {
  const { certificate, key } = makeCertificate(await directoryFor(t), '127.0.0.1')
  const { ecr } = await startMirror(t)
  const { app, url } = await mirrorOf(t, ecr, { settings: { limits: LIMITS, tls: { certificate, key } } })
  const silent = Array.from({ length: CLIENTS }, () => new Connection(url))
  // The beginning of a ClientHello.
  for (const { socket } of silent.slice(CLIENTS / 2)) socket.write(Buffer.from('160301020001', 'hex'))
  const { port } = new URL(url)
  const gone = connect(Number(port), '127.0.0.1')
  gone.on('connect', () => gone.resetAndDestroy())
  t.same(new Set(await Promise.all(silent.map(({ closed }) => closed))), new Set(['']))
  const told = await untilUsed(app.operationsUrl, ({ in_use }) => in_use.connections === 0)
  t.equal(told.refusals_total.headers_time, CLIENTS)
})

t.test('as many ways to be slow as are promised', async t => {
  t.equal(SLOW.length + 1, countOf('H15'))
})
