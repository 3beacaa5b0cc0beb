import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { budgetsTold, untilUsed } from '../support/budget-use.js'
import { startMirror } from '../support/mirror.js'

t.setTimeout(60_000)

t.test('blobs that are fetched, connections upstream, and manifests that are refused', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'budgets-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const {
    ecr,
    app,
    fetch: get,
  } = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    settings: { cache: { directory }, limits: { maxFills: 1, maxUpstreamConnections: 2 } },
  })
  const { operationsUrl } = app
  ecr.createRepository('team/app')
  const slow = await ecr.putBlob('team/app', { size: 3_000_000, seed: 'slow' })
  const other = await ecr.putBlob('team/app', { size: 1_000, seed: 'other' })

  ecr.knobs.s3.slow = 300_000
  const first = get(`/v2/team/app/blobs/${slow.digest}`)
  await untilUsed(operationsUrl, ({ in_use }) => in_use.fills === 1)
  const waited = await get(`/v2/team/app/blobs/${other.digest}`)
  t.equal(waited.status, 503, 'it waits for its turn, but not for ever')
  t.equal(waited.headers.get('retry-after'), '1')
  t.equal((await budgetsTold(operationsUrl)).refusals_total.fills, 1)
  ecr.knobs.s3.slow = undefined
  t.equal((await (await first).arrayBuffer()).byteLength, 3_000_000)
  await untilUsed(operationsUrl, ({ in_use }) => in_use.fills === 0)
  t.equal((await get(`/v2/team/app/blobs/${other.digest}`)).status, 200)

  ecr.knobs.latency.ListImages = 300
  const listings = Array.from({ length: 10 }, () => get('/v2/team/app/tags/list'))
  await untilUsed(operationsUrl, ({ in_use }) => in_use.upstream_connections === 2)
  const text = await (await fetch(`${operationsUrl}/metrics`)).text()
  t.match(text, /^ecr_mirror_budget_waiting\{budget="upstream_connections"\} [1-8]$/m)
  t.same([...new Set((await Promise.all(listings)).map(({ status }) => status))], [200], 'all get their turn')

  const put = async (body: string): Promise<number> =>
    (await get('/v2/team/app/manifests/v1', { method: 'PUT', body })).status
  t.equal(await put(`{"x":${'['.repeat(100_000)}`), 400, 'too deep')
  t.equal(await put('x'.repeat(4 * 1024 * 1024 + 1)), 413, 'too large')
  t.equal(ecr.count({ action: 'PutImage' }), 0)
  const told = await untilUsed(operationsUrl, ({ in_use }) => in_use.manifest_memory === 0)
  t.match(told.refusals_total, { manifest_depth: 1, manifest_size: 1 })

  const several = await get(`/v2/team/app/blobs/${other.digest}`, { headers: { range: 'bytes=0-1,3-4' } })
  t.equal((await several.arrayBuffer()).byteLength, 1_000, 'of several ranges, the whole')
  t.equal((await budgetsTold(operationsUrl)).refusals_total.ranges, 1)

  const stranger = { authorization: `Basic ${Buffer.from('ci:wrong').toString('base64')}` }
  t.equal((await get('/v2/', { headers: stranger })).status, 401)
  t.match(await budgetsTold(operationsUrl), { refusals_total: { passwords: 1 }, in_use: { passwords: 0 } })
})
