import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { z } from 'zod'

const Rules = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string(),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
          annotations: z.strictObject({ summary: z.string().min(20), description: z.string().min(60) }),
        }),
      ),
    }),
  ),
})

export const ALERTS_FILE = fileURLToPath(new URL('../../../deploy/prometheus/alerts.yaml', import.meta.url))

/** The alert rules, each of which says what is wrong and what to do. */
export async function readAlerts() {
  return Rules.parse(parse(await readFile(ALERTS_FILE, 'utf8'))).groups.flatMap(({ rules }) => rules)
}
