import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { createMetrics } from '../../../src/operations/metrics.js'
import { diskMetrics } from '../../../src/operations/metrics/cache.js'
import type { DiskStoreStats } from '../../../src/store/disk-store-stats.js'
import { startMirror } from '../../support/mirror.js'
import { digestOf, startPushing } from '../../support/pushing.js'
import { parseTold, sumOf, toldBy } from '../../support/told.js'

t.setTimeout(60_000)

const knobs = { layerInaccessibleUntilTagged: false }
const fills = 'ecr_mirror_cache_fill_events_total'

t.test('what is stored is told, and downloads by what happens to them', async t => {
  const { app, ecr, fetch } = await startPushing(t, { far: { knobs }, cache: { maxSize: '1GiB' } })
  const { digest } = await ecr.putBlob('team/app', randomBytes(200_000))
  ecr.knobs.s3.slow = 400_000
  await Promise.all([1, 2, 3].map(async () => (await fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()))
  let told = await toldBy(app)
  for (let tries = 0; tries < 500 && sumOf(told, fills, { event: 'completed' }) === 0; tries++)
    told = await toldBy(app)
  t.equal(sumOf(told, fills, { event: 'started' }), 1)
  t.equal(sumOf(told, fills, { event: 'joined' }), 2)
  t.equal(sumOf(told, fills, { event: 'completed' }), 1)
  t.equal(sumOf(told, fills, { event: 'failed' }), 0)
  t.equal(sumOf(told, 'ecr_mirror_cache_entries'), 1)
  t.ok((sumOf(told, 'ecr_mirror_cache_size_bytes') ?? 0) >= 200_000)
  t.equal(sumOf(told, 'ecr_mirror_cache_max_bytes'), 1024 ** 3)
  t.ok((sumOf(told, 'ecr_mirror_cache_disk_free_bytes') ?? 0) > 0)
})

t.test('a stored blob that went bad, and what an upstream sends wrong, are told apart', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'cache-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const mirror = await startPushing(t, { far: { knobs }, directory, cache: { verify: 'always' } })
  const { app, ecr, fetch } = mirror
  const { digest } = await ecr.putBlob('team/app', randomBytes(200_000))
  const get = (of: string): Promise<unknown> =>
    fetch(`/v2/team/app/blobs/${of}`)
      .then(answer => answer.arrayBuffer())
      .catch(() => undefined)
  await get(digest)
  while (sumOf(await toldBy(app), fills, { event: 'completed' }) === 0) await pause(10)
  const hex = digest.slice('sha256:'.length)
  const file = await open(join(directory, 'v1/blobs/sha256', hex.slice(0, 2), hex), 'r+')
  await file.write(Buffer.from('wrong'), 0, 5, 1000)
  await file.close()
  await get(digest)
  const failures = 'ecr_mirror_cache_integrity_failures_total'
  t.equal(sumOf(await toldBy(app), failures, { where: 'store' }), 1)
  const other = await ecr.putBlob('team/app', randomBytes(200_000))
  ecr.knobs.s3.corruptByte = 10
  await get(other.digest)
  const told = await toldBy(app)
  t.ok((sumOf(told, failures, { where: 'upstream' }) ?? 0) >= 1)
  t.equal(sumOf(told, failures, { where: 'store' }), 1)
})

t.test('a push that the cache kept is told', async t => {
  const mirror = await startPushing(t)
  const bytes = randomBytes(1000)
  await mirror.step('PUT', `${await mirror.begin()}?digest=${digestOf(bytes)}`, bytes)
  const captures = 'ecr_mirror_cache_captures_total'
  let told = await toldBy(mirror.app)
  for (let tries = 0; tries < 500 && sumOf(told, captures) === 0; tries++) told = await toldBy(mirror.app)
  t.equal(sumOf(told, captures, { result: 'kept' }), 1)
})

t.test('without a cache nothing is told of its disk', async t => {
  const { app } = await startMirror(t)
  t.equal(sumOf(await toldBy(app), 'ecr_mirror_cache_size_bytes'), undefined)
})

t.test(
  'one look at the store is enough for all of it, and what the disk does not say is left out',
  async t => {
    const metrics = createMetrics()
    let looks = 0
    const stats: DiskStoreStats = {
      bytes: 1,
      maxBytes: 2,
      entries: 3,
      reservedBytes: 4,
      freeBytes: undefined,
      evictions: 5,
      evictedBytes: 6,
      integrityFailures: 7,
      readErrors: 8,
      writeErrors: 9,
      indexed: true,
      writePaused: 'ENOSPC',
    }
    diskMetrics(metrics, () => {
      looks++
      return Promise.resolve(stats)
    })
    for (let time = 1; time <= 2; time++) {
      const told = parseTold(await metrics.metrics())
      t.equal(looks, time)
      t.same(
        Object.fromEntries(told.map(({ name, value }) => [name.replace('ecr_mirror_cache_', ''), value])),
        {
          size_bytes: 1,
          max_bytes: 2,
          entries: 3,
          reserved_bytes: 4,
          evictions_total: 5,
          evicted_bytes_total: 6,
          read_errors_total: 8,
          write_errors_total: 9,
          indexed: 1,
          write_paused: 1,
        },
      )
    }
  },
)
