import { mayPass } from './may-pass.js'

/** Of one answer so many warnings are passed on, and of one so many characters. */
const MAX_WARNINGS = 4
const MAX_LENGTH = 320

/** A warning as the distribution-spec has it ("Warnings"): no agent, no date, and text that needs no more escapes. */
const WARNING = /299 - "(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y
const SEPARATOR = /[ \t]*,[ \t]*|$/y

/**
 * The warnings in an upstream's answer, for people, as the value of one Warning header; undefined when there are none.
 * What is no such warning, is too long or names anything of AWS is left out.
 */
export function warningsIn(header: string | readonly string[] | undefined): string | undefined {
  const warnings = [header ?? []].flat().flatMap(warningsOf)
  const fit = warnings.filter(warning => warning.length <= MAX_LENGTH && mayPass(warning))
  return fit.length === 0 ? undefined : fit.slice(0, MAX_WARNINGS).join(', ')
}

/** Of one line of the header, the warnings up to the first thing that is none. */
function warningsOf(line: string): string[] {
  const found: string[] = []
  for (let at = 0; at < line.length;) {
    WARNING.lastIndex = at
    const [warning] = WARNING.exec(line) ?? []
    if (warning === undefined) break
    SEPARATOR.lastIndex = at + warning.length
    const [separator] = SEPARATOR.exec(line) ?? []
    if (separator === undefined) break
    found.push(warning)
    at += warning.length + separator.length
  }
  return found
}
