import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { z } from 'zod'
import { startDaemon } from '../../clients/support/daemon.js'
import { scratch } from '../../clients/support/scratch.js'
import { isInstalled } from '../../support/installed.js'

/** Options for a test that needs a real Prometheus; skipped, with what to install, where there is none. */
export function needsPrometheus(): { readonly skip?: string } {
  return isInstalled('prometheus') && isInstalled('promtool')
    ? {}
    : { skip: 'prometheus and promtool missing here: apt-get install prometheus' }
}

const Vector = z.object({
  resultType: z.string(),
  result: z.array(z.unknown()),
})
const RuleGroups = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          name: z.string(),
          health: z.string(),
          state: z.string(),
          lastError: z.string().optional(),
        }),
      ),
    }),
  ),
})

export interface Prometheus {
  /** The time series that a query gives now. Throws what Prometheus says is wrong with it. */
  query(expression: string): Promise<readonly unknown[]>
  /** Every rule, as it was when last looked at: `unknown` before the first time. */
  rules(): Promise<z.output<typeof RuleGroups>['groups'][number]['rules']>
}

const LISTENING = /msg="Listening on" address=(127\.0\.0\.1:\d+)/

/** A real Prometheus that scrapes a mirror every second, and ends with the test. */
export async function startPrometheus(
  t: Test,
  operationsUrl: string,
  rulesFile: string,
): Promise<Prometheus> {
  const directory = await scratch(t)
  const settings = join(directory, 'prometheus.json')
  // YAML has JSON in it.
  await writeFile(
    settings,
    JSON.stringify({
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: [rulesFile],
      scrape_configs: [
        { job_name: 'registry mirrors', static_configs: [{ targets: [new URL(operationsUrl).host] }] },
      ],
    }),
  )
  const daemon = await startDaemon(
    t,
    [
      'prometheus',
      `--config.file=${settings}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ],
    {
      ready: async output => {
        const [, address] = LISTENING.exec(output) ?? []
        return address !== undefined && (await isReady(`http://${address}`))
      },
    },
  )
  const url = `http://${LISTENING.exec(daemon.output())?.[1] ?? ''}`
  const get = async (path: string): Promise<unknown> => {
    const answer = await fetch(`${url}/api/v1/${path}`)
    const { status, data, error } = (await answer.json()) as Record<string, unknown>
    if (status !== 'success') throw new Error(String(error))
    return data
  }
  return {
    query: async expression =>
      Vector.parse(await get(`query?${String(new URLSearchParams({ query: expression }))}`)).result,
    rules: async () => RuleGroups.parse(await get('rules')).groups.flatMap(({ rules }) => rules),
  }
}

async function isReady(url: string): Promise<boolean> {
  return fetch(`${url}/-/ready`).then(
    ({ status }) => status === 200,
    () => false,
  )
}
