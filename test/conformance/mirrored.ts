import type { Test } from 'tap'
import type { Ecr } from '../ecr/ecr.js'
import { authorization, mirrorOf } from '../support/mirror.js'
import { runCases, type Results } from './case.js'
import { CASES } from './cases.js'

/** What the user of these tests may do: everything. By default nobody may delete or list repositories. */
const POLICY = [
  { principals: ['*'], repositories: ['**'], actions: ['pull', 'push', 'delete'] },
  { principals: ['*'], actions: ['catalog'] },
]

/** So that the cases do not wait for ECR's ten manifests a second. */
const QUOTAS = { PutImage: 10_000 }

/** The results of all cases through a mirror. */
export async function runMirrored(
  t: Test,
  ecr: Ecr,
  upstream: Record<string, unknown> = {},
): Promise<Results> {
  const mirror = await mirrorOf(t, ecr, {
    upstream: { quotas: QUOTAS, ...upstream },
    settings: { policy: POLICY },
  })
  return runCases(CASES, { url: mirror.url, authorization })
}

/** Says how a run went, a line for each failure. */
export function report(t: Test, where: string, results: Results): void {
  const reasons = [...results].filter(([, reason]) => reason !== undefined)
  t.comment(`${where}: ${results.size - reasons.length} of ${results.size} cases pass`)
  for (const [name, reason] of reasons) t.comment(`${where}: FAILS ${name} (${reason})`)
}

/** The cases that pass straight and do not through the mirror, each with its reason. */
export function lost(straight: Results, mirrored: Results): string[] {
  return [...mirrored]
    .filter(([name, reason]) => reason !== undefined && straight.get(name) === undefined)
    .map(([name, reason]) => `${name} - ${reason}`)
}
