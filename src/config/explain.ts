import type { z } from 'zod'
import { isMapping, layerOf, pathText, valueAt, type Layer, type Path } from './layer.js'
import { notYet } from './not-yet.js'
import { outlineAt } from './outline.js'
import { shown, shownKey } from './shown.js'
import { suggestion } from './suggestion.js'

/** Something that is wrong with the configuration, and where. */
export interface Problem {
  readonly path: Path
  /** The key that is wrong itself, in the mapping at `path`. */
  readonly key?: string
  readonly message: string
}

/** One line: where it was written, which key, what is wrong. */
export function problemLine(problem: Problem, layers: readonly [Layer, ...Layer[]]): string {
  const full = problem.key === undefined ? problem.path : [...problem.path, problem.key]
  const where = layerOf(layers, full).locate(problem.path, problem.key)
  const named = problem.key === undefined ? full : [...problem.path, shownKey(problem.key)]
  return full.length === 0
    ? `${where}: ${problem.message}`
    : `${where} ${pathText(named)}: ${problem.message}`
}

/** The problems that the schema found, said in the words of this configuration instead of the library's. */
export function explain(
  issues: readonly z.core.$ZodIssue[],
  data: unknown,
  layers: readonly [Layer, ...Layer[]],
): Problem[] {
  return issues.flatMap(issue => explainOne(issue, [], data, layers))
}

function explainOne(
  issue: z.core.$ZodIssue,
  base: Path,
  data: unknown,
  layers: readonly [Layer, ...Layer[]],
): Problem[] {
  const path = [...base, ...issue.path.map(key => (typeof key === 'number' ? key : String(key)))]
  const value = valueAt(data, path)
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(key => ({ path, key, message: unknownKey(path, key) }))
  }
  if (issue.code === 'invalid_union') {
    // One or a list: the branch that is meant is the list for a list, and the single one for everything else.
    const meant = issue.errors[Array.isArray(value) ? 1 : 0] ?? []
    return meant.flatMap(each => explainOne(each, path, data, layers))
  }
  const expected =
    issue.code === 'invalid_type' && issue.expected === 'object' ? expectedMapping(path) : issue.message
  if (value === undefined) return [{ path, message: `missing, expected ${expected}` }]
  const written = layerOf(layers, path).writtenAt?.(path)
  return [
    {
      path,
      message: `found ${found(value, path, written)}, expected ${expected}${quoteHint(issue, value, written)}`,
    },
  ]
}

function unknownKey(path: Path, key: string): string {
  return notYet(path, key) ?? `unknown key${suggestion(key, [...(keysAt(path)?.keys() ?? [])])}`
}

function expectedMapping(path: Path): string {
  return `a mapping of ${[...(keysAt(path)?.keys() ?? [])].join(', ')}`
}

function keysAt(path: Path): ReadonlyMap<string, unknown> | undefined {
  const at = outlineAt(path)
  return at?.kind === 'list' ? at.item?.keys : at?.keys
}

/** What stands there, short, and without what may be a secret. */
function found(value: unknown, path: Path, written: string | undefined): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (isMapping(value)) return 'a mapping'
  const at = outlineAt(path)
  if (at === undefined || at.secret) return 'a value that is not shown here'
  if (at.kind === 'mapping' || at.item?.kind === 'mapping')
    return typeof value === 'string' ? 'a text' : `a ${typeof value}`
  if (typeof value === 'string') return shown(value)
  if (typeof value === 'number') return `the number ${written ?? value}`
  return typeof value === 'boolean' ? String(value) : 'something else'
}

/** An account id without quotes is a number in YAML, and one with a leading zero even another one. */
function quoteHint(issue: z.core.$ZodIssue, value: unknown, written: string | undefined): string {
  if (issue.code !== 'invalid_type' || issue.expected !== 'string' || typeof value !== 'number') return ''
  return `; in quotes it stays a text: "${written ?? value}"`
}
