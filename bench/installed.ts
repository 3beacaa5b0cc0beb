import { isInstalled } from '../test/support/installed.js'

/** A command, and the Debian package that has it. */
export interface Needed {
  readonly command: string
  readonly package: string
}

/** Why something cannot run here; undefined when it can. */
export function missing(needed: Needed | undefined): string | undefined {
  if (!needed || isInstalled(needed.command)) return undefined
  return `${needed.command} is not installed: apt-get install ${needed.package}`
}
