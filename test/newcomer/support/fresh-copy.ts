import { cp, readFile } from 'node:fs/promises'
import { realpathSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository itself, also where the tests are run from a copy that links to it. */
const TOP = dirname(realpathSync(fileURLToPath(new URL('../../../package.json', import.meta.url))))

/** Copies what a clone of the repository would have, with changes that are not committed yet; nothing that is ignored. */
export async function freshCopy(directory: string): Promise<void> {
  const ignored = (await readFile(join(TOP, '.gitignore'), 'utf8')).split('\n').filter(line => line !== '')
  const isOwn = (path: string): boolean =>
    path !== '.git' &&
    !ignored.some(pattern =>
      pattern.startsWith('*') ? path.endsWith(pattern.slice(1)) : path === pattern.replace(/\/$/, ''),
    )
  await cp(TOP, directory, {
    recursive: true,
    verbatimSymlinks: true,
    filter: from => isOwn(relative(TOP, from)),
  })
}
