import { open, readFile, rename, rm, type FileHandle } from 'node:fs/promises'

/** Entries that outlive the process, one JSON array a line, in the order in which they were appended. */
export interface Journal {
  /** Gives every entry to `take`; a line that is cut off or damaged is passed over. */
  replay(take: (entry: readonly unknown[]) => void): Promise<void>
  /** Puts these entries in place of all. */
  rewrite(entries: Iterable<readonly unknown[]>): Promise<void>
  /** Writes soon; an end of the process in between loses the entry. */
  append(entry: readonly unknown[]): void
  /** Resolves when the entry, and all before it, are on the disk, or cannot be put there. */
  appendDurably(entry: readonly unknown[]): Promise<void>
  close(): Promise<void>
}

export interface JournalOptions {
  readonly file: string
  /** Learns once of trouble with the file; the journal goes on without it. */
  readonly onTrouble: (error: unknown) => void
  /** Milliseconds that appended entries may wait for one another. */
  readonly delay?: number
}

export function createJournal({ file, onTrouble, delay = 500 }: JournalOptions): Journal {
  let handle: FileHandle | undefined
  let pending: string[] = []
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()
  let troubled = false

  function trouble(error: unknown): void {
    if (!troubled) onTrouble(error)
    troubled = true
  }

  /** One write at a time, in order. */
  function flush(durably: boolean): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    writing = writing.then(async () => {
      const lines = pending
      pending = []
      try {
        if (lines.length === 0 && !durably) return
        handle ??= await open(file, 'a', 0o600)
        await handle.appendFile(lines.join(''))
        if (durably) await handle.datasync()
        troubled = false
      } catch (error) {
        trouble(error)
      }
    })
    return writing
  }

  function push(entry: readonly unknown[]): void {
    pending.push(`${JSON.stringify(entry)}\n`)
  }

  return {
    async replay(take) {
      const text = await readFile(file, 'utf8').catch((error: unknown) => {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) trouble(error)
        return ''
      })
      for (const line of text.split('\n')) {
        const entry = parse(line)
        if (entry) take(entry)
      }
    },
    async rewrite(entries) {
      await flush(false)
      const fresh = `${file}.new`
      try {
        const target = await open(fresh, 'w', 0o600)
        try {
          let lines: string[] = []
          for (const entry of entries) {
            lines.push(`${JSON.stringify(entry)}\n`)
            if (lines.length < 10_000) continue
            await target.appendFile(lines.join(''))
            lines = []
          }
          await target.appendFile(lines.join(''))
          await target.datasync()
        } finally {
          await target.close()
        }
        await handle?.close()
        handle = undefined
        await rename(fresh, file)
      } catch (error) {
        trouble(error)
        await rm(fresh, { force: true }).catch(() => undefined)
      }
    },
    append(entry) {
      push(entry)
      timer ??= setTimeout(() => void flush(false), delay)
      timer.unref()
    },
    appendDurably(entry) {
      push(entry)
      return flush(true)
    },
    async close() {
      await flush(false)
      await handle?.close().catch(() => undefined)
      handle = undefined
    },
  }
}

function parse(line: string): readonly unknown[] | undefined {
  if (line === '') return undefined
  try {
    const entry: unknown = JSON.parse(line)
    return Array.isArray(entry) ? entry : undefined
  } catch {
    return undefined
  }
}
