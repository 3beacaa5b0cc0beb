import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { loadConfig } from '../../../src/config/load.js'
import { createMetrics } from '../../../src/operations/metrics.js'
import { upstreamMetrics } from '../../../src/operations/metrics/upstreams.js'
import { startMirror } from '../../support/mirror.js'
import { digestOf, startPushing } from '../../support/pushing.js'
import { parseTold, sumOf, toldBy } from '../../support/told.js'

t.setTimeout(60_000)

const requests = 'ecr_mirror_upstream_requests_total'
const retries = 'ecr_mirror_upstream_retries_total'

t.test('what goes to ECR and its storage is told by action and status, with its time and bytes', async t => {
  const mirror = await startPushing(t, { far: { knobs: { layerInaccessibleUntilTagged: false } } })
  const { app, ecr, fetch } = mirror
  const bytes = randomBytes(100_000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  const pushed = randomBytes(70_000)
  const location = await mirror.begin()
  const patched = await mirror.step('PATCH', location, pushed)
  await mirror.step('PUT', `${patched.location}?digest=${digestOf(pushed)}`)
  const told = await toldBy(app)
  const count = (operation: string, code: string) =>
    sumOf(told, requests, { upstream: 'main', operation, code })
  t.equal(count('BatchCheckLayerAvailability', '200'), 1, 'whether the repository has the blob')
  t.equal(count('GetDownloadUrlForLayer', '307'), 1)
  t.equal(count('GetObject', '206'), 1)
  t.equal(count('InitiateLayerUpload', '202'), 1)
  t.equal(count('UploadLayerPart', '201'), 1)
  t.equal(count('CompleteLayerUpload', '201'), 1)
  t.equal(sumOf(told, 'ecr_mirror_upstream_request_duration_seconds_count'), 6)
  t.equal(sumOf(told, 'ecr_mirror_upstream_sent_bytes_total', { upstream: 'main' }), pushed.length)
  t.equal(sumOf(told, 'ecr_mirror_upstream_received_bytes_total', { upstream: 'main' }), bytes.length)
  t.ok(
    (await ecr.blob('team/app', digestOf(pushed))?.bytes())?.equals(pushed),
    'and counting changes nothing',
  )
})

t.test('further tries are told with their reason', async t => {
  const { app, ecr, fetch } = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    deps: { renewAfter: 0 },
  })
  await ecr.putImage('team/app', 'v1')
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  await fetch('/v2/team/app/tags/list')
  ecr.knobs.serverError = { ListImages: 1 }
  await fetch('/v2/team/app/tags/list')
  ecr.knobs.throttle = { ListImages: { next: 1 } }
  await fetch('/v2/team/app/tags/list')
  ecr.knobs.resetConnection = { ListImages: 1 }
  await fetch('/v2/team/app/tags/list')
  // No token is renewed sooner.
  while ((sumOf(await toldBy(app), 'ecr_mirror_ecr_token_age_seconds') ?? 0) < 1.1) await pause(50)
  ecr.expireTokens()
  await fetch('/v2/team/app/tags/list')
  ecr.knobs.s3.expired = 1
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  ecr.knobs.s3.slowDown = 1
  await (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
  const told = await toldBy(app)
  for (const reason of [
    'server_error',
    'throttled',
    'connection',
    'token',
    'storage_refused',
    'storage_failed',
  ])
    t.equal(sumOf(told, retries, { upstream: 'main', reason }), 1, reason)
  t.equal(sumOf(told, requests, { operation: 'ListImages', code: 'broken_off' }), 1)
  t.equal(sumOf(told, requests, { operation: 'ListImages', code: '500' }), 1)
  t.equal(sumOf(told, requests, { operation: 'ListImages', code: '429' }), 1)
})

t.test('an upstream that a reload takes away is told no more, and the others go on', async t => {
  const { app, configFile, fetch, ecr } = await startMirror(t)
  const other = {
    name: 'other',
    host: ecr.host,
    endpoint: ecr.url,
    apiEndpoint: ecr.url,
    repositoryPrefix: 'p',
  }
  const { upstreams, ...rest } = JSON.parse(await readFile(configFile, 'utf8')) as {
    upstreams: Record<string, unknown>[]
  }
  const put = async (all: object[]): Promise<void> => {
    await writeFile(configFile, JSON.stringify({ ...rest, upstreams: all }))
    await app.reload((await loadConfig({ flags: { config: configFile }, env: {} })).config)
  }
  await put([{ ...upstreams[0], default: true }, other])
  await fetch('/v2/team/app/tags/list')
  await fetch('/v2/other/team/app/tags/list')
  const before = await toldBy(app)
  t.ok(before.some(({ labels }) => labels['upstream'] === 'other'))
  const asked = sumOf(before, requests, { upstream: 'main' })
  t.ok((asked ?? 0) > 0)
  await put([{ ...upstreams[0], default: true }])
  const after = await toldBy(app)
  t.same(
    after.filter(({ labels }) => labels['upstream'] === 'other'),
    [],
  )
  t.equal(sumOf(after, requests, { upstream: 'main' }), asked, 'a reload is no new start')
})

t.test('the last requests of an upstream that was taken away bring it back no more', async t => {
  const metrics = createMetrics()
  const { observer, keep } = upstreamMetrics(metrics)
  const [main, gone] = [observer('main'), observer('gone')]
  main.began('GetObject')(200)
  gone.began('GetObject')(200)
  const last = gone.began('BatchGetImage')
  keep(['main'])
  last(200)
  gone.received(5)
  gone.retried('token')
  const told = parseTold(await metrics.metrics())
  t.ok(told.length > 0)
  t.same([...new Set(told.map(({ labels }) => labels['upstream']))], ['main'])
})
