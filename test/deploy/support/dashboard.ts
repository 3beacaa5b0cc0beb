import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const Panel = z.object({
  type: z.string(),
  title: z.string(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  targets: z.array(z.object({ expr: z.string(), datasource: z.object({ uid: z.string() }) })).default([]),
})

const Dashboard = z.object({
  panels: z.array(Panel),
  templating: z.object({
    list: z.array(z.object({ name: z.string(), type: z.string(), definition: z.string().optional() })),
  }),
  annotations: z.object({ list: z.array(z.object({ expr: z.string() })) }),
})

export type Dashboard = z.output<typeof Dashboard>

export interface Query {
  /** Where on the dashboard it stands. */
  readonly place: string
  readonly expression: string
}

export async function readDashboard(): Promise<Dashboard> {
  const file = new URL('../../../deploy/grafana/ecr-mirror.json', import.meta.url)
  return Dashboard.parse(JSON.parse(await readFile(file, 'utf8')))
}

/** All that the dashboard's panels ask, with Grafana's variables filled in for every instance. */
export function queriesOf({ panels }: Dashboard, interval = '10s'): Query[] {
  return panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }, index) => ({
      place: `${title}, ${index + 1}`,
      expression: filled(expr, interval),
    })),
  )
}

/** What it marks on all of them. */
export function marksOf({ annotations }: Dashboard): string[] {
  return annotations.list.map(({ expr }) => filled(expr, '10s'))
}

function filled(text: string, interval: string): string {
  return text.replaceAll('$__rate_interval', interval).replaceAll('$instance', '.*')
}
