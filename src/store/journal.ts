import { constants } from 'node:fs'
import * as files from 'node:fs/promises'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openRegular } from './regular-file.js'

/** One entry: a JSON array. */
export type Entry = readonly unknown[]

/** Entries that outlive the process, one JSON array a line, in the order in which they were appended. */
export interface Journal {
  /** Gives every entry to `take`; a line that is cut off or damaged is passed over. */
  replay(take: (entry: Entry) => void): Promise<void>
  /**
   * Puts these entries in place of all, and does so again whenever the file has grown to be much longer than they
   * were: `survivors` is then asked anew for what is still of use. So what an entry says has to be so before the entry is
   * appended.
   */
  keepShort(survivors: () => Iterable<Entry>): Promise<void>
  /** Writes soon; an end of the process in between loses the entry. */
  append(entry: Entry): void
  /** Resolves when the entry, and all before it, are on the disk, or cannot be put there. */
  appendDurably(entry: Entry): Promise<void>
  /** Resolves when all that was appended is in the file, or cannot be put there. */
  settled(): Promise<void>
  close(): Promise<void>
}

export interface JournalOptions {
  readonly file: string
  /** Learns once of trouble with the file; the journal goes on without it. */
  readonly onTrouble: (error: unknown) => void
  /** Milliseconds that appended entries may wait for one another. */
  readonly delay?: number
  /** Entries that may be appended, at least, before the file is made short again. */
  readonly slack?: number
}

/** Without waiting for a reader, should a FIFO lie there, and without following a link to elsewhere. */
const APPENDING =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Entries that are written at a time. */
const BATCH = 10_000

export function createJournal({ file, onTrouble, delay = 500, slack = 50_000 }: JournalOptions): Journal {
  let handle: FileHandle | undefined
  let pending: string[] = []
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()
  let troubled = false
  /** What was to be written is not there, or only half of it is: all is to be written anew. */
  let damaged = false
  let unread = false
  let survivors: (() => Iterable<Entry>) | undefined
  /** Entries of the last rewrite, and those appended since. */
  let kept = 0
  let appended = 0

  function trouble(error: unknown): void {
    if (!troubled) onTrouble(error)
    troubled = true
  }

  /** One write at a time, in order; none of them fails. */
  function inTurn(write: () => Promise<void>): Promise<void> {
    writing = writing.then(write).catch(trouble)
    return writing
  }

  function flush(durably: boolean): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    return inTurn(async () => {
      const lines = pending
      pending = []
      if (damaged && survivors) {
        await rewrite(survivors())
        return
      }
      if (lines.length > 0 || durably) {
        try {
          handle ??= await open(file, APPENDING, 0o600)
          await handle.appendFile(lines.join(''))
          if (durably) await handle.datasync()
        } catch (error) {
          damaged = true
          throw error
        }
        troubled = false
        appended += lines.length
      }
      if (survivors && appended > slack + kept) await rewrite(survivors())
    })
  }

  async function rewrite(entries: Iterable<Entry>): Promise<void> {
    const fresh = `${file}.new`
    let count = 0
    try {
      // Whatever lies there, half a journal or no file at all, is of no use.
      await rm(fresh, { recursive: true, force: true })
      const target = await open(fresh, 'wx', 0o600)
      try {
        let lines: string[] = []
        for (const entry of entries) {
          lines.push(lineOf(entry))
          count++
          if (lines.length < BATCH) continue
          await target.appendFile(lines.join(''))
          lines = []
        }
        await target.appendFile(lines.join(''))
        await target.datasync()
      } finally {
        await target.close()
      }
      await rename(fresh, file)
      const before = handle
      handle = undefined
      await before?.close()
      damaged = false
      troubled = false
      kept = count
      appended = 0
      // What is appended durably from now on is of no use in a file that could lose its name.
      await syncName(file)
    } catch (error) {
      // Not again with each entry.
      appended = 0
      await rm(fresh, { force: true }).catch(() => undefined)
      throw error
    }
  }

  return {
    async replay(take) {
      try {
        const source = await openRegular(files, file)
        if (source === undefined) return
        if (source === 'other') {
          trouble(new Error(`What lies at ${file} is no file.`))
          return
        }
        for await (const line of source.handle.readLines({ encoding: 'utf8' })) {
          const entry = parse(line)
          if (entry) take(entry)
        }
      } catch (error) {
        unread = true
        trouble(error)
      }
    },
    keepShort(what) {
      survivors = what
      // What could not be read shall not be overwritten by what is known without it.
      return unread ? Promise.resolve() : inTurn(() => rewrite(what()))
    },
    append(entry) {
      pending.push(lineOf(entry))
      timer ??= setTimeout(() => void flush(false), delay)
      timer.unref()
    },
    appendDurably(entry) {
      pending.push(lineOf(entry))
      return flush(true)
    },
    settled: () => flush(false),
    async close() {
      await flush(false)
      await handle?.close().catch(() => undefined)
      handle = undefined
    },
  }
}

async function syncName(file: string): Promise<void> {
  const directory = await open(dirname(file), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function lineOf(entry: Entry): string {
  return `${JSON.stringify(entry)}\n`
}

function parse(line: string): Entry | undefined {
  if (line === '') return undefined
  try {
    const entry: unknown = JSON.parse(line)
    return Array.isArray(entry) ? entry : undefined
  } catch {
    return undefined
  }
}
