import { cp, mkdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { succeed } from '../../clients/support/run-client.js'

const HERE = fileURLToPath(new URL('../../..', import.meta.url))

/** Copies what a clone of the repository would have, with the changes that are not committed yet: no dist, no node_modules. */
export async function freshCopy(directory: string): Promise<void> {
  const git = (...args: string[]) => succeed('git', ['-c', 'safe.directory=*', '-C', HERE, ...args])
  const top = (await git('rev-parse', '--show-toplevel')).trim()
  const listed = await git('-C', top, 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
  for (const file of listed.split('\0').filter(name => name !== '' && existsSync(join(top, name)))) {
    await mkdir(dirname(join(directory, file)), { recursive: true })
    await cp(join(top, file), join(directory, file))
  }
}
