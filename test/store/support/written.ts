import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Test } from 'tap'

export interface Writer {
  readonly child: ChildProcessByStdio<null, Readable, null>
  /** The digests that were said to be stored, and not to be gone since. */
  readonly stored: ReadonlySet<string>
  /** How many were said to be stored. */
  count(): number
  readonly wrong: readonly string[]
  /** Resolves once so many were said to be stored; rejects when the process ends before. */
  storedMore(count: number): Promise<void>
  /** Kills it, and resolves once all that it said was heard. */
  kill(): Promise<void>
}

/** Starts `writer.ts`, compiled. */
export function startWriter(t: Test, program: string, args: readonly string[], stored: Set<string>): Writer {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const wrong: string[] = []
  let count = 0
  let rest = ''
  let over = false
  const heard = once(child.stdout, 'close').then(() => void (over = true))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [what, digest = ''] = line.split(' ')
      if (what === 'stored') count++
      if (what === 'stored') stored.add(digest)
      if (what === 'gone') stored.delete(digest)
      if (what === 'wrong') wrong.push(digest)
    }
  })
  return {
    child,
    stored,
    wrong,
    count: () => count,
    storedMore: async more => {
      for (const goal = count + more; count < goal;) {
        if (over) throw new Error('the writer ended')
        await Promise.race([once(child.stdout, 'data'), heard])
      }
    },
    kill: async () => {
      child.kill('SIGKILL')
      await heard
    },
  }
}

export interface Looked {
  /** All digests that have a file. */
  readonly found: ReadonlySet<string>
  /** The files whose bytes are not what their names say. */
  readonly bad: readonly string[]
}

/** Looks at the files of a cache directory, without the store. */
export async function lookAt(directory: string): Promise<Looked> {
  const found = new Set<string>()
  const bad: string[] = []
  const blobs = join(directory, 'v1/blobs/sha256')
  for (const name of existsSync(blobs) ? await readdir(blobs, { recursive: true }) : []) {
    if (!name.includes('/')) continue
    const hex = name.slice(3)
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(blobs, name)), hash)
    if (hash.digest('hex') === hex) found.add(`sha256:${hex}`)
    else bad.push(name)
  }
  return { found, bad }
}
