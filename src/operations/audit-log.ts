import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { lineOf, type AuditFields } from './audit-line.js'
import type { Log } from './log.js'

/** Lines that may wait for the disk; more are lost, and counted. */
const MAX_WAITING = 10_000
/** Lines that are written at a time. */
const BATCH = 500
const LINE_END = 0x0a

/** Lines on their way into the file, and what of them is not there yet. */
interface Batch {
  readonly count: number
  rest: Buffer
}

/** The file cannot be appended to, and waiting would not help. */
export class AuditFileRefused extends Error {
  override readonly name = 'AuditFileRefused'
}

/** What waiting does not mend: another path or other permissions are needed. */
const REFUSALS = ['EACCES', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'ENXIO', 'EPERM']

export interface AuditLog {
  /** Notes something at once, with the time, and never fails; where there is no file it goes nowhere. */
  write(fields: AuditFields): void
  /**
   * Appends to this file from now on, opened anew, or to none. Throws an AuditFileRefused, and goes on as before, when
   * it cannot be.
   */
  use(file: string | undefined): Promise<void>
  /** What is wrong now, for people, and how many lines are lost so far. */
  readonly state: {
    readonly file: string | undefined
    readonly trouble: string | undefined
    readonly lost: number
  }
  /** Resolves when what was noted is in the file, or lost. */
  settled(): Promise<void>
  close(): Promise<void>
}

export interface AuditLogDeps {
  readonly log: Pick<Log, 'error' | 'info'>
  readonly openFile?: OpenFile
  readonly now?: () => number
}

/** A file that is open for appending. */
export type AppendFile = Pick<FileHandle, 'close' | 'stat' | 'read'> & {
  write(bytes: Buffer): Promise<{ readonly bytesWritten: number }>
}
export type OpenFile = (file: string) => Promise<AppendFile>

/**
 * The audit log: lines in order, appended behind the requests that they are about. What the disk does not take is lost
 * and counted, since neither pulls nor memory are to wait for it; once it takes lines again, one tells how many are
 * missing.
 */
export function createAuditLog({ log, openFile = openAppending, now = Date.now }: AuditLogDeps): AuditLog {
  let file: string | undefined
  let handle: AppendFile | undefined
  let waiting: string[] = []
  let working: Promise<void> = Promise.resolve()
  let isWorking = false
  let trouble: string | undefined
  /** Lines lost in all, and since the last that was written. */
  let [lost, missing] = [0, 0]
  /** Files whose end has been looked at: a process that was killed, or a full disk, may have left half a line. */
  const known = new WeakSet<AppendFile>()

  /** One after the other, so that a file is not closed under a write. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    const mine = working.then(work)
    working = mine.catch(() => undefined)
    return mine
  }

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const lines = waiting.splice(0, BATCH)
      if (file === undefined) continue
      const batch = { count: lines.length, rest: Buffer.from(gap() + lines.join('')) }
      try {
        handle ??= await openFile(file)
        await append(handle, batch)
        recovered()
      } catch (error) {
        await failed(error, batch)
      }
    }
    isWorking = false
  }

  function gap(): string {
    return missing > 0 ? stamped({ event: 'gap', lost: missing }) : ''
  }

  async function append(to: AppendFile, batch: Batch): Promise<void> {
    if (!known.has(to) && (await endsWithinLine(to))) await to.write(Buffer.from('\n'))
    known.add(to)
    while (batch.rest.length > 0) {
      const { bytesWritten } = await to.write(batch.rest)
      if (bytesWritten === 0) throw Object.assign(new Error('nothing was written'), { code: 'EIO' })
      batch.rest = batch.rest.subarray(bytesWritten)
    }
  }

  async function endsWithinLine(to: AppendFile): Promise<boolean> {
    const { size } = await to.stat()
    if (size === 0) return false
    const last = Buffer.alloc(1)
    const { bytesRead } = await to.read(last, 0, 1, size - 1)
    return bytesRead === 1 && last[0] !== LINE_END
  }

  function recovered(): void {
    if (trouble !== undefined) log.info({ file, lost: missing }, 'the audit log is written again')
    trouble = undefined
    missing = 0
  }

  async function failed(error: unknown, { count, rest }: Batch): Promise<void> {
    const ends = rest.reduce((sum, byte) => sum + (byte === LINE_END ? 1 : 0), 0)
    // The line about a gap comes first, and was written once no more ends are left than lines.
    if (ends <= count) missing = 0
    lose(Math.min(ends, count))
    const code = codeOf(error)
    if (trouble === undefined)
      log.error({ file, code }, 'the audit log cannot be written; its lines are lost')
    trouble = code
    // Opened anew for the next line: it may have been moved, or its disk been mounted again.
    await shut()
  }

  function lose(lines: number): void {
    lost += lines
    missing += lines
  }

  async function shut(): Promise<void> {
    const closing = handle
    handle = undefined
    await closing?.close().catch(() => undefined)
  }

  function stamped(fields: AuditFields): string {
    return lineOf({ time: new Date(now()).toISOString(), ...fields })
  }

  return {
    write(fields) {
      if (file === undefined) return
      if (waiting.length >= MAX_WAITING) {
        lose(1)
        return
      }
      waiting.push(stamped(fields))
      if (isWorking) return
      isWorking = true
      void inTurn(writeAll)
    },
    use: next =>
      inTurn(async () => {
        const opened = next === undefined ? undefined : await opening(next, openFile)
        await shut()
        handle = opened
        file = next
        if (next === undefined) waiting = []
      }),
    get state() {
      return { file, trouble, lost }
    },
    settled: () => working,
    async close() {
      await inTurn(shut)
      file = undefined
    },
  }
}

async function opening(file: string, openFile: OpenFile): Promise<AppendFile | undefined> {
  try {
    return await openFile(file)
  } catch (error) {
    const code = codeOf(error)
    // A disk that is full now may have room when there is something to write.
    if (!REFUSALS.includes(code)) return undefined
    throw new AuditFileRefused(
      `audit.file: ${file} cannot be appended to (${code}); its directory has to exist, and the user that the mirror runs as to be allowed to write there`,
      { cause: error },
    )
  }
}

/** Readable too, to see how it ends. */
async function openAppending(file: string): Promise<AppendFile> {
  const { O_APPEND, O_CREAT, O_RDWR } = constants
  return open(file, O_APPEND | O_CREAT | O_RDWR, 0o600)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
}
