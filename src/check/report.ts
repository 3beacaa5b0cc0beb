import type { Finding, Result } from './finding.js'

const SIGNS: Readonly<Record<Result, string>> = { ok: '✓', failed: '✗', warning: '!', skipped: '-' }

/** For people: a line for each finding, its sign first and what to do last. */
export function asText(findings: readonly Finding[]): string {
  return findings
    .map(({ name, result, detail, advice }) => {
      const remedy = advice === undefined ? '' : ` → ${advice}`
      return `${SIGNS[result]} ${oneLine(`${name}: ${detail}${remedy}`)}\n`
    })
    .join('')
}

/** For machines: one JSON document. */
export function asJson(findings: readonly Finding[]): string {
  return `${JSON.stringify({ ok: isWell(findings), checks: findings }, undefined, 2)}\n`
}

export function isWell(findings: readonly Finding[]): boolean {
  return findings.every(({ result }) => result !== 'failed')
}

/** What came from elsewhere may have anything in it; a terminal gets none of that. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
}
