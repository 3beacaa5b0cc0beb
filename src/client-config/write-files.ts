import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ClientFile } from './client.js'

/** Where a file is now, and its permissions. */
export interface WrittenFile {
  readonly place: string
  readonly mode: number
}

/** The permissions of a file. */
export function modeOf({ secret }: ClientFile): number {
  return secret ? 0o600 : 0o644
}

/**
 * Writes files below a directory at the paths that they have, as in the root of a machine on which root is the user,
 * and gives where each is. Throws, before anything is written, when others are there and may not be replaced.
 */
export async function writeClientFiles(
  directory: string,
  files: readonly ClientFile[],
  replace: boolean,
): Promise<WrittenFile[]> {
  const placed = files.map(file => ({ file, place: join(directory, file.path.replace(/^~(?=\/)/, 'root')) }))
  if (!replace) {
    const others: string[] = []
    for (const { file, place } of placed) {
      const there = await contentOf(place)
      if (there !== undefined && there !== file.content) others.push(place)
    }
    if (others.length > 0)
      throw new Error(
        `${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} there already; nothing was written. --force replaces what is there`,
      )
  }
  for (const { file, place } of placed) {
    await mkdir(dirname(place), { recursive: true })
    // The password must not be in a file that anybody may read, not even for a moment.
    const temporary = `${place}.ecr-mirror-new`
    await writeFile(temporary, file.content, { mode: 0o600 })
    await chmod(temporary, modeOf(file))
    await rename(temporary, place)
  }
  return placed.map(({ file, place }) => ({ place, mode: modeOf(file) }))
}

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
