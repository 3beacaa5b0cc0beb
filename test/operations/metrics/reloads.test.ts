import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '../../../src/config/load.js'
import { createReloader } from '../../../src/config/reload.js'
import { createMetrics } from '../../../src/operations/metrics.js'
import { auditMetrics } from '../../../src/operations/metrics/audit.js'
import { buildMetrics } from '../../../src/operations/metrics/process.js'
import { reloadMetrics } from '../../../src/operations/metrics/reloads.js'
import { parseTold, sumOf } from '../../support/told.js'

const SETTINGS =
  'users: { htpasswd: users }\nupstreams: [{ name: a, host: 123456789012.dkr.ecr.us-east-1.amazonaws.com }]\n'

t.test('a reload is told with its success, and the configuration in force with its time', async t => {
  const directory = t.testdir({ 'm.yaml': SETTINGS, users: '' })
  const file = join(directory, 'm.yaml')
  let now = 1_000_000
  const metrics = createMetrics()
  const load = () => loadConfig({ env: {}, flags: { config: file } })
  const ignore = (): void => undefined
  const reloader = createReloader({
    load,
    initial: await load(),
    apply: async () => undefined,
    log: { info: ignore, warn: ignore, error: ignore },
    onReload: reloadMetrics(metrics, () => now),
    interval: 1_000_000,
  })
  t.teardown(() => reloader.close())
  const told = async (): Promise<(number | undefined)[]> => {
    const all = parseTold(await metrics.metrics())
    return [
      sumOf(all, 'ecr_mirror_config_last_reload_successful'),
      sumOf(all, 'ecr_mirror_config_last_reload_success_timestamp_seconds'),
      sumOf(all, 'ecr_mirror_config_reloads_total', { result: 'succeeded' }),
      sumOf(all, 'ecr_mirror_config_reloads_total', { result: 'failed' }),
    ]
  }
  t.same(await told(), [1, 1000, 0, 0], 'the start')
  now = 2_000_000
  await writeFile(file, 'nonsense: true\n')
  await reloader.reload()
  t.same(await told(), [0, 1000, 0, 1], 'one that is refused')
  now = 3_000_000
  await writeFile(file, SETTINGS)
  await reloader.reload()
  t.same(await told(), [1, 3000, 1, 1], 'one that is in force')
  now = 4_000_000
  await rm(file)
  await reloader.reload()
  t.same(await told(), [0, 3000, 1, 2], 'a file that is gone')
})

t.test('an audit log that cannot be written is told, and the lines that it lacks', async t => {
  const metrics = createMetrics()
  let state: { file: string; trouble: string | undefined; lost: number } = {
    file: 'f',
    trouble: undefined,
    lost: 0,
  }
  auditMetrics(metrics, () => state)
  const told = async (): Promise<number[]> => parseTold(await metrics.metrics()).map(({ value }) => value)
  t.same(await told(), [0, 0])
  state = { file: 'f', trouble: 'ENOSPC', lost: 4 }
  t.same(await told(), [1, 4])
})

t.test('the versions are told', async t => {
  const metrics = createMetrics()
  buildMetrics(metrics, { version: '1.2.3', node: 'v24.0.0' })
  t.same(parseTold(await metrics.metrics()), [
    { name: 'ecr_mirror_build_info', labels: { version: '1.2.3', node: 'v24.0.0' }, value: 1 },
  ])
})
