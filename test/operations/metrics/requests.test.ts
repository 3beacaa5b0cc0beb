import { randomBytes } from 'node:crypto'
import { METHODS } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import type { App } from '../../../src/app.js'
import { authorization, startMirror } from '../../support/mirror.js'
import { startPushing, digestOf } from '../../support/pushing.js'
import { ask } from '../../support/requests.js'
import { sumOf, toldBy, type Told } from '../../support/told.js'

t.setTimeout(60_000)

const requests = 'ecr_mirror_http_requests_total'

/** What is told once it is so: a request is counted after its client has its answer. */
async function until(app: App, isSo: (told: Told[]) => boolean): Promise<Told[]> {
  for (let tries = 0; ; tries++) {
    const told = await toldBy(app)
    if (isSo(told) || tries > 500) return told
    await pause(10)
  }
}

t.test('requests are told by method, endpoint and status, with their time', async t => {
  const { app, ecr, fetch } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  await fetch('/v2/')
  await fetch('/v2/team/app/manifests/v1')
  await fetch('/v2/team/app/manifests/none')
  await fetch('/v2/team/app/manifests/none', { method: 'HEAD' })
  await fetch('/nowhere')
  const told = await until(app, now => sumOf(now, requests) === 5)
  const count = (labels: Record<string, string>): number | undefined => sumOf(told, requests, labels)
  t.equal(count({ method: 'GET', route: 'base', code: '200' }), 1)
  t.equal(count({ method: 'GET', route: 'manifest', code: '200' }), 1)
  t.equal(count({ method: 'GET', route: 'manifest', code: '404' }), 1)
  t.equal(count({ method: 'HEAD', route: 'manifest', code: '404' }), 1)
  t.equal(count({ method: 'GET', route: 'other', code: '404' }), 1)
  const seconds = 'ecr_mirror_http_request_duration_seconds'
  t.equal(sumOf(told, `${seconds}_count`, { method: 'GET', route: 'manifest' }), 2)
  t.ok((sumOf(told, `${seconds}_sum`) ?? 0) > 0)
  t.equal(sumOf(told, `${seconds}_bucket`, { le: '+Inf' }), 5)
  t.equal(sumOf(told, 'ecr_mirror_http_first_byte_seconds_count'), 1, 'of what gives content alone')
})

t.test('content is told by how it met the cache, in answers and in bytes', async t => {
  const { app, ecr, fetch } = await startPushing(t, {
    far: { knobs: { layerInaccessibleUntilTagged: false } },
    // Who may push is answered by the upstream when it asks by HEAD.
    settings: { policy: [{ principals: ['*'], actions: ['pull'] }] },
  })
  const bytes = randomBytes(200_000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  const get = async (): Promise<unknown> => (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  await get()
  await until(app, now => sumOf(now, 'ecr_mirror_cache_fill_events_total', { event: 'completed' }) === 1)
  await get()
  await get()
  await fetch(`/v2/team/app/blobs/${digest}`, { method: 'HEAD' })
  const answers = 'ecr_mirror_cache_requests_total'
  const told = await until(app, now => sumOf(now, answers) === 4)
  t.equal(sumOf(told, answers, { type: 'blob', result: 'miss' }), 1)
  t.equal(sumOf(told, answers, { type: 'blob', result: 'hit' }), 3)
  const served = 'ecr_mirror_cache_served_bytes_total'
  t.equal(sumOf(told, served, { type: 'blob', result: 'miss' }), bytes.length)
  t.equal(sumOf(told, served, { type: 'blob', result: 'hit' }), 2 * bytes.length, 'a HEAD gives none')
  t.equal(sumOf(told, 'ecr_mirror_http_first_byte_seconds_count', { result: 'hit' }), 2)
})

t.test('the first byte of a slow blob is told when it goes out, not when the last does', async t => {
  const { app, ecr, fetch } = await startPushing(t, {
    far: { knobs: { layerInaccessibleUntilTagged: false } },
  })
  const { digest } = await ecr.putBlob('team/app', randomBytes(300_000))
  ecr.knobs.s3.slow = 300_000
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  const first = 'ecr_mirror_http_first_byte_seconds_sum'
  const told = await until(app, now => sumOf(now, first) !== undefined)
  const whole = sumOf(told, 'ecr_mirror_http_request_duration_seconds_sum', { route: 'blob' }) ?? 0
  t.ok((sumOf(told, first) ?? Infinity) < whole / 2, `${sumOf(told, first)} of ${whole} s`)
})

t.test('a client that leaves is told as one, with no more bytes than it was sent', async t => {
  const { app, ecr, url } = await startMirror(t, { ecr: { knobs: { layerInaccessibleUntilTagged: false } } })
  const size = 30_000_000
  const { digest } = await ecr.putBlob('team/app', { size })
  ecr.knobs.hang = { BatchGetImage: 1 }
  const early = new AbortController()
  const waiting = ask(`${url}/v2/team/app/manifests/v1`, { headers: { authorization }, signal: early.signal })
  await ecr.arrived({ action: 'BatchGetImage' })
  early.abort()
  await waiting.catch(() => undefined)

  ecr.knobs.s3.slow = 2_000_000
  const late = new AbortController()
  const answer = await fetch(`${url}/v2/team/app/blobs/${digest}`, {
    headers: { authorization },
    signal: late.signal,
  })
  await answer.body?.getReader().read()
  late.abort()
  const told = await until(app, now => sumOf(now, requests) === 2)
  t.equal(sumOf(told, requests, { route: 'manifest', code: '499' }), 1, 'before there was an answer')
  t.equal(sumOf(told, requests, { route: 'blob', code: '200' }), 1)
  t.equal(sumOf(told, 'ecr_mirror_http_answers_cut_total'), 2)
  const bytes = sumOf(told, 'ecr_mirror_cache_served_bytes_total') ?? 0
  t.ok(bytes > 0 && bytes < size, `${bytes} bytes`)
})

t.test('what is in flight is told', async t => {
  const { app, ecr, fetch } = await startMirror(t)
  await fetch('/v2/')
  ecr.knobs.latency.ListImages = 500
  ecr.createRepository('team/app')
  const inFlight = 'ecr_mirror_http_requests_in_flight'
  const listing = fetch('/v2/team/app/tags/list')
  await ecr.arrived({ action: 'ListImages' })
  t.equal(sumOf(await toldBy(app), inFlight), 1)
  await listing
  t.equal(sumOf(await until(app, now => sumOf(now, inFlight) === 0), inFlight), 0)
})

t.test('logins are told by what became of them', async t => {
  const { app, fetch } = await startMirror(t, {
    settings: { policy: [{ principals: ['ci'], actions: ['pull'] }] },
  })
  const login = (text: string) => ({
    headers: { authorization: `Basic ${Buffer.from(text).toString('base64')}` },
  })
  await fetch('/v2/')
  for (let time = 0; time < 11; time++) await fetch('/v2/', login(`ci:wrong${time}`))
  await fetch('/v2/', { headers: { authorization: '' } })
  const told = await until(app, now => sumOf(now, requests) === 13)
  const attempts = (result: string): number | undefined =>
    sumOf(told, 'ecr_mirror_auth_attempts_total', { result })
  t.same(['good', 'bad', 'held', 'again', 'missing', 'anonymous'].map(attempts), [1, 10, 1, 0, 1, 0])
})

t.test('what is pushed is told in bytes, once it was taken', async t => {
  const mirror = await startPushing(t)
  const bytes = randomBytes(5000)
  t.equal(
    (await mirror.step('PUT', `${await mirror.begin()}?digest=${digestOf(randomBytes(1))}`, bytes)).status,
    400,
  )
  t.equal((await mirror.step('PUT', `${await mirror.begin()}?digest=${digestOf(bytes)}`, bytes)).status, 201)
  const pushed = 'ecr_mirror_pushed_bytes_total'
  t.equal(sumOf(await until(mirror.app, now => (sumOf(now, pushed) ?? 0) > 0), pushed), bytes.length)
})

t.test('a thousand repositories, tags, users, names and methods are told as one', async t => {
  const { app, url } = await startMirror(t, { logLevel: 'silent' })
  const methods = METHODS.filter(method => method !== 'CONNECT')
  const send = (index: number) => {
    const user = index % 2 === 0 ? authorization : `Basic ${Buffer.from(`user${index}:x`).toString('base64')}`
    const method = methods[Math.floor(index / 7) % methods.length] ?? 'GET'
    const path = [
      `/v2/team/app${index}/manifests/v${index}`,
      `/v2/team/app${index}/blobs/sha256:${index.toString(16).padStart(64, '0')}`,
      `/v2/team/app${index}/tags/list`,
      `/v2/team/x?ns=registry${index}.example`,
      `/secret/${index}`,
    ][index % 5]
    return ask(url + (path ?? ''), {
      method,
      headers: {
        authorization: user,
        'user-agent': `agent ${index}`,
        'x-forwarded-for': `10.0.0.${index % 250}`,
      },
    }).catch(() => undefined)
  }
  const series = async (): Promise<string[]> =>
    (await toldBy(app))
      .map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`)
      .filter(line => !line.startsWith('nodejs_'))
      .sort()
  const batch = async (from: number): Promise<void> => {
    for (let index = from; index < from + 1000; index += 20)
      await Promise.all(Array.from({ length: 20 }, (_, each) => send(index + each)))
  }
  await batch(0)
  const before = await until(app, () => true).then(series)
  await batch(1000)
  const after = await series()
  t.same(after, before, 'a second thousand adds none')
  t.ok(after.length < 2000, `${after.length} series`)
  t.same(
    after.filter(line => /app\d|user\d|registry\d|agent|secret|PROPFIND|10\.0/.test(line)),
    [],
  )
})
