import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { createApp } from '../src/app.js'
import { loadConfig } from '../src/config/load.js'
import { createLog } from '../src/operations/log.js'
import { Connection } from './support/connection.js'
import { authorization, startMirror, USER } from './support/mirror.js'
import { ask } from './support/requests.js'
import { usersFile } from './support/users.js'

const OPEN_LAYERS = { layerInaccessibleUntilTagged: false }
const HEAD = `Host: m\r\nAuthorization: ${authorization}\r\n`

t.setTimeout(60_000)

t.test('a reload is for the requests to come; those in flight go on as they began', async t => {
  const mirror = await startMirror(t, { ecr: { knobs: OPEN_LAYERS } })
  const bytes = randomBytes(3_000_000)
  const { digest } = await mirror.ecr.putBlob('team/app', bytes)
  mirror.ecr.knobs.s3.slow = 2_000_000
  mirror.ecr.knobs.latency.ListImages = 700
  const download = ask(`${mirror.url}/v2/team/app/blobs/${digest}`, { headers: { authorization } })
  const listing = mirror.fetch('/v2/team/app/tags/list')
  await mirror.ecr.arrived({ at: 's3' })
  await mirror.ecr.arrived({ action: 'ListImages' })

  await writeFile(join(t.testdirName, 'users'), await usersFile('other:word'))
  const { config } = await loadConfig({ flags: { config: mirror.configFile }, env: {} })
  await mirror.app.reload(config)
  t.equal((await mirror.fetch('/v2/')).status, 401, 'the old user is gone')
  const other = `Basic ${Buffer.from('other:word').toString('base64')}`
  t.equal((await mirror.fetch('/v2/', { headers: { authorization: other } })).status, 200)
  const answer = await download
  t.equal(answer.complete, true, 'the download was not cut')
  t.ok(answer.bytes.equals(bytes))
  t.equal((await listing).status, 200, 'nor was what had no answer yet')

  await t.rejects(mirror.app.reload({ ...config, users: { ...config.users, htpasswd: '/does/not/exist' } }))
  t.equal((await mirror.fetch('/v2/', { headers: { authorization: other } })).status, 200, 'still in force')
})

t.test('a drain lets transfers end, says so in /readyz, and then everything is free', async t => {
  const { app, url, ecr, fetch: get } = await startMirror(t, { ecr: { knobs: OPEN_LAYERS } })
  const bytes = randomBytes(2_000_000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  t.equal((await get('/v2/')).status, 200)
  t.equal((await fetch(`${app.operationsUrl}/readyz`)).status, 200)
  ecr.knobs.s3.slow = 1_500_000
  const download = ask(`${url}/v2/team/app/blobs/${digest}`, { headers: { authorization } })
  await ecr.arrived({ at: 's3' })
  const closed = app.close(AbortSignal.timeout(20_000))
  const draining = await fetch(`${app.operationsUrl}/readyz`)
  t.equal(draining.status, 503)
  t.match(await draining.json(), { ready: false, draining: true })
  t.equal((await fetch(`${app.operationsUrl}/livez`)).status, 200)
  await t.rejects(fetch(`${url}/v2/`), 'nobody comes in')
  t.ok((await download).bytes.equals(bytes))
  await closed
  await t.rejects(fetch(`${app.operationsUrl}/livez`))
})

t.test('a retired mirror is not ready, serves on, and sends its clients elsewhere', async t => {
  const { app, url, ecr, fetch: get } = await startMirror(t, { ecr: { knobs: OPEN_LAYERS } })
  const { digest } = await ecr.putBlob('team/app', randomBytes(10_000))
  await ecr.putImage('team/app', 'v1')
  t.equal((await get('/v2/')).headers.get('connection'), 'keep-alive')
  app.retire()
  const answer = await fetch(`${app.operationsUrl}/readyz`)
  t.equal(answer.status, 503)
  t.match(await answer.json(), { ready: false, draining: true, reasons: ['draining'] })
  t.equal((await fetch(`${app.operationsUrl}/livez`)).status, 200)
  const requests = [
    ['GET', '/v2/', 200],
    ['GET', '/v2/team/app/manifests/v1', 200],
    ['HEAD', `/v2/team/app/blobs/${digest}`, 200],
    ['GET', `/v2/team/app/blobs/${digest}`, 200],
    ['GET', '/v2/team/app/tags/list', 200],
    ['GET', '/v2/team/app/manifests/none', 404],
    ['POST', '/v2/team/app/blobs/uploads/', 202],
  ] as const
  for (const [method, path, status] of requests) {
    const { headers, ...served } = await ask(url + path, {
      method,
      headers: { authorization, connection: 'keep-alive' },
    })
    t.match(
      { ...served, connection: headers.connection },
      { status, connection: 'close' },
      `${method} ${path}`,
    )
  }
})

t.test(
  'a client of the operations port that reads nothing does not keep the mirror from its end',
  async t => {
    const { app } = await startMirror(t)
    const stuck = new Connection(app.operationsUrl)
    t.teardown(() => stuck.socket.destroy())
    stuck.socket.pause()
    // More answers than the buffers between the two hold.
    for (let sent = 0; sent < 100; sent++)
      stuck.socket.write('GET /metrics HTTP/1.1\r\nHost: m\r\n\r\n'.repeat(90))
    await pause(500)
    await app.close(AbortSignal.timeout(500))
    await t.rejects(fetch(`${app.operationsUrl}/livez`))
  },
)

t.test('a drain that takes too long cuts what is left', async t => {
  const { app, url, ecr } = await startMirror(t, { ecr: { knobs: OPEN_LAYERS } })
  const { digest } = await ecr.putBlob('team/app', randomBytes(2_000_000))
  ecr.knobs.s3.slow = 100_000
  const download = ask(`${url}/v2/team/app/blobs/${digest}`, { headers: { authorization } }).catch(
    () => 'cut',
  )
  await ecr.arrived({ at: 's3' })
  await pause(100)
  await app.close(AbortSignal.abort())
  const answer = await download
  t.ok(typeof answer === 'string' || !answer.complete)
  await ecr.settled()
})

t.test('several addresses; where one is taken, none is kept', async t => {
  const { ecr } = await startMirror(t)
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  const address = taken.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const free = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => free.once('listening', resolve))
  const freeAddress = free.address()
  const freePort = typeof freeAddress === 'object' && freeAddress ? freeAddress.port : 0
  await new Promise(resolve => free.close(resolve))

  const configFor = async (listen: string[], operations: string) =>
    (
      await loadConfig({
        flags: {
          config: `${t.testdir({
            'm.json': JSON.stringify({
              listen,
              operations: { listen: operations },
              upstreams: [{ name: 'main', host: ecr.host, endpoint: ecr.url, apiEndpoint: ecr.url }],
            }),
          })}/m.json`,
        },
        env: { ECR_MIRROR_USERS: `${USER.name}:${USER.password}` },
      })
    ).config
  const log = createLog({ level: 'silent', format: 'json', destination: process.stderr })
  for (const [listen, operations] of [
    [[`127.0.0.1:${freePort}`, `127.0.0.1:${port}`], '127.0.0.1:0'],
    [[`127.0.0.1:${freePort}`], `127.0.0.1:${port}`],
  ] as const) {
    await t.rejects(createApp(await configFor([...listen], operations), { log }), { code: 'EADDRINUSE' })
    await t.rejects(fetch(`http://127.0.0.1:${freePort}/v2/`), 'the free one was closed again')
  }
  await new Promise(resolve => taken.close(resolve))
  const app = await createApp(
    await configFor([`127.0.0.1:${freePort}`, `127.0.0.1:${port}`], '127.0.0.1:0'),
    { log },
  )
  t.equal(app.urls.length, 2)
  for (const url of app.urls) t.equal((await fetch(`${url}/v2/`)).status, 401, url)
  await app.close()
})

t.test('clients that leave a pipeline free all of it', async t => {
  const { url, ecr, fetch: get } = await startMirror(t, { settings: { limits: { maxRequests: 16 } } })
  await ecr.putImage('team/app', 'v1')
  t.equal((await get('/v2/')).status, 200)
  ecr.knobs.hang = { ListImages: 100 }
  const clients = Array.from({ length: 5 }, () => new Connection(url))
  for (const { socket } of clients)
    socket.write(`GET /v2/team/app/tags/list HTTP/1.1\r\n${HEAD}\r\n`.repeat(5))
  await ecr.arrived({ action: 'ListImages' }, 5)
  for (const { socket } of clients) socket.destroy()
  await ecr.settled()
  t.equal(ecr.count({ action: 'ListImages' }), 5, 'of each pipeline one request was begun')
  ecr.knobs.hang = {}
  const answers = await Promise.all(Array.from({ length: 8 }, () => get('/v2/team/app/tags/list')))
  t.same(
    answers.map(({ status }) => status),
    Array(8).fill(200),
    'every place is free again',
  )
})

t.test(
  'as many requests of a client in flight as it may have, fewer of those that go upstream; more come again',
  async t => {
    const { url, ecr, fetch: get, log } = await startMirror(t, { settings: { limits: { maxRequests: 20 } } })
    await ecr.putImage('team/app', 'v1')
    t.equal((await get('/v2/')).status, 200)
    ecr.knobs.latency.ListImages = 1_500
    const held = Array.from({ length: 9 }, () => get('/v2/team/app/tags/list'))
    await ecr.arrived({ action: 'ListImages' }, 9)
    const miss = await get('/v2/team/app/tags/list')
    t.equal(miss.status, 503)
    t.equal(miss.headers.get('retry-after'), '1')
    t.match(await miss.json(), { errors: [{ code: 'TOOMANYREQUESTS' }] })
    t.equal((await get('/v2/')).status, 200, 'what needs no upstream is served still')

    const push = new Connection(url)
    push.socket.write(`PUT /v2/team/app/manifests/v2 HTTP/1.1\r\n${HEAD}Content-Length: 9\r\n\r\n{`)
    let more = await get('/v2/')
    for (; more.status === 200; more = await get('/v2/'));
    t.equal(more.status, 503)
    t.equal(more.headers.get('retry-after'), '1')
    t.match(await more.json(), { errors: [{ code: 'TOOMANYREQUESTS' }] })
    t.equal((await ask(`${url}/v2/`)).status, 401, 'who is refused takes no place')
    for (const answer of await Promise.all(held)) t.equal(answer.status, 200)
    t.equal((await get('/v2/')).status, 200)
    t.equal(log.filter(({ msg, status }) => msg === 'request' && status === 503).length, 2)
    push.socket.destroy()
  },
)
