import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { budgetsTold, untilUsed } from '../support/budget-use.js'
import { startMirror, type MirrorUnderTest } from '../support/mirror.js'
import { ask } from '../support/requests.js'

const USERS = 'one:password of one,two:password of two'
const [ONE, TWO] = ['one', 'two'].map(
  name => `Basic ${Buffer.from(`${name}:password of ${name}`).toString('base64')}`,
) as [string, string]
const LARGE = 64 * 1024 * 1024

t.setTimeout(120_000)

interface Stand extends MirrorUnderTest {
  /** Sends something on a connection of its own, from which nothing is read. */
  readonly hold: (text: string, from?: string) => Socket
  /** The status of an answer that is read. */
  readonly status: (path: string, options?: { from?: string; authorization?: string }) => Promise<number>
  readonly large: string
}

async function stand(t: Test, limits: object, policy?: object): Promise<Stand> {
  const directory = await mkdtemp(join(tmpdir(), 'shares-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const mirror = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    users: USERS,
    settings: { limits, cache: { directory, tags: { ttl: '1h' } }, ...policy },
  })
  await mirror.ecr.putImage('team/app', 'v1')
  const { digest } = await mirror.ecr.putBlob('team/app', { size: LARGE, seed: 'large' })
  const large = `/v2/team/app/blobs/${digest}`
  const { hostname, port } = new URL(mirror.url)
  const sockets: Socket[] = []
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  const status: Stand['status'] = async (path, { from = '127.0.0.1', authorization = TWO } = {}) => {
    const agent = new Agent({ localAddress: from })
    const answer = await ask(mirror.url + path, {
      headers: { ...(authorization !== '' && { authorization }), accept: '*/*' },
      agent,
    })
    agent.destroy()
    return answer.status
  }
  for (const path of ['/v2/team/app/manifests/v1', large])
    t.equal(await status(path, { authorization: ONE }), 200)
  t.equal(await status('/v2/'), 200)
  return {
    ...mirror,
    large,
    status,
    hold(text, from = '127.0.0.1') {
      const socket = connect({ port: Number(port), host: hostname, localAddress: from })
      socket.on('error', () => undefined)
      socket.pause()
      socket.write(text)
      sockets.push(socket)
      return socket
    },
  }
}

const HIT = '/v2/team/app/manifests/v1'
const get = (path: string, authorization = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: m\r\n${authorization && `Authorization: ${authorization}\r\n`}\r\n`

const OPEN = {
  policy: [
    { principals: ['anonymous'], repositories: ['team/**'], actions: ['pull'] },
    { principals: ['*'], actions: ['pull', 'push'] },
  ],
}

t.test(
  'strangers who read nothing keep nobody out: others at another address, or with a login at the same',
  async t => {
    const { hold, status, large, app } = await stand(t, { maxRequests: 40 }, OPEN)
    for (let count = 0; count < 60; count++) hold(get(large))
    const told = await untilUsed(app.operationsUrl, now => (now.refusals_total.requests ?? 0) >= 40)
    t.equal(told.in_use.requests, 20, 'one address has half')
    t.equal(await status(HIT, { authorization: '' }), 503, 'a stranger of that address')
    t.equal(await status(HIT, { authorization: '', from: '127.0.0.2' }), 200, 'a stranger elsewhere')
    t.equal(await status(HIT), 200, 'a user at that address')

    for (let host = 2; host < 12; host++)
      for (let count = 0; count < 20; count++) hold(get(large), `127.0.0.${host}`)
    await untilUsed(app.operationsUrl, now => now.in_use.requests === 30)
    t.equal(await status(HIT, { authorization: '', from: '127.0.0.99' }), 503, 'strangers have all they may')
    for (let count = 0; count < 5; count++) t.equal(await status(HIT), 200, 'and the rest is for users')
  },
)

t.test('a user who reads nothing, at one address or at many, leaves enough for another', async t => {
  const { hold, status, large, app } = await stand(t, { maxRequests: 40 })
  for (let count = 0; count < 60; count++) hold(get(large, ONE))
  await untilUsed(app.operationsUrl, now => (now.refusals_total.requests ?? 0) >= 40)
  t.equal(await status(HIT, { authorization: ONE }), 503)
  t.equal(await status(HIT, { authorization: ONE, from: '127.0.0.2' }), 200, 'the same name elsewhere')
  for (let host = 2; host < 12; host++)
    for (let count = 0; count < 20; count++) hold(get(large, ONE), `127.0.0.${host}`)
  await untilUsed(app.operationsUrl, now => (now.refusals_total.requests ?? 0) >= 230)
  t.equal(await status(HIT, { authorization: ONE, from: '127.0.0.99' }), 503)
  for (let count = 0; count < 5; count++) t.equal(await status(HIT), 200)
})

t.test('whoever is refused for want of a login takes no place', async t => {
  const { hold, status, app } = await stand(t, { maxRequests: 4 })
  const asked = Array.from({ length: 30 }, () =>
    hold(`POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\nHost: m\r\nContent-Length: 1000\r\n\r\n`),
  )
  await Promise.all(asked.map(socket => once(socket, 'connect')))
  await untilUsed(app.operationsUrl, ({ in_use }) => in_use.connections === 30)
  for (let count = 0; count < 5; count++) t.equal(await status(HIT), 200)
  t.equal((await budgetsTold(app.operationsUrl)).refusals_total.requests, 0)
})

t.test('manifests of which a pusher sends no end leave memory for others', async t => {
  const { hold, status, fetch: send, app } = await stand(t, { maxManifestMemory: '16MiB' })
  const half = 'x'.repeat(2 * 1024 * 1024)
  for (let count = 0; count < 12; count++)
    hold(
      `PUT /v2/team/app/manifests/a${count} HTTP/1.1\r\nHost: m\r\nAuthorization: ${ONE}\r\nContent-Length: 4000000\r\n\r\n${half}`,
    )
  await untilUsed(app.operationsUrl, now => (now.refusals_total.manifest_memory ?? 0) > 0)
  t.equal(await status(HIT), 200)
  const put = await send('/v2/team/app/manifests/b', {
    method: 'PUT',
    body: JSON.stringify({ schemaVersion: 2, annotations: { filler: 'y'.repeat(1024 * 1024) } }),
    headers: { authorization: TWO, 'content-type': 'application/vnd.oci.image.index.v1+json' },
  })
  t.not(put.status, 503, 'its push is for ECR to judge')
})

t.test('a client that fetches much at once leaves fetching to others', async t => {
  const { hold, status, ecr, app } = await stand(t, { maxFills: 4 })
  const slow = await Promise.all(
    Array.from({ length: 6 }, (_, seed) =>
      ecr.putBlob('team/app', { size: 3_000_000, seed: `slow ${seed}` }),
    ),
  )
  const { digest } = await ecr.putBlob('team/app', { size: 1_000, seed: 'small' })
  ecr.knobs.s3.slow = 300_000
  for (const each of slow) hold(get(`/v2/team/app/blobs/${each.digest}`, ONE))
  await untilUsed(app.operationsUrl, ({ in_use }) => in_use.fills === 2)
  t.equal(await status(`/v2/team/app/blobs/${digest}`), 200)
  ecr.knobs.s3.slow = undefined
})
