import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

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

function isInstalled(command: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some(directory => {
    try {
      accessSync(join(directory, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
