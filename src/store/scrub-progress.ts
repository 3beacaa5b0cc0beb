import { z } from 'zod'
import { parseDigest, type Digest } from '../oci/digest.js'
import type { FileSystem } from './file-system.js'
import type { Layout } from './layout.js'
import { openRegular } from './regular-file.js'

/** In milliseconds since 1970, up to the latest that a Date can be. */
const time = z.number().min(0).max(8.64e15)
const count = z.int().nonnegative()
const digest = z.custom<Digest>(value => typeof value === 'string' && parseDigest(value) !== undefined)

const countsSchema = z.object({
  /** Hashed to their end. */
  blobs: count,
  bytes: count,
  /** Wrong, and set aside. */
  bad: count,
  /** Blobs that could not be read. */
  troubles: count,
})

export type ScrubCounts = Readonly<z.output<typeof countsSchema>>

const passSchema = z.object({
  began: time,
  /** The last digest that is done. */
  last: digest.optional(),
  counts: countsSchema,
})

export type ScrubPass = Readonly<z.output<typeof passSchema>>

const progressSchema = z.object({
  /** From when the time to the first pass is counted. */
  since: time,
  /** When the last pass ended. */
  ended: time.optional(),
  /** The pass that goes on, or that was broken off. */
  pass: passSchema.optional(),
})

/** How far the scrub of a cache directory is. */
export type ScrubProgress = Readonly<z.output<typeof progressSchema>>

/** The progress as it outlives the process. */
export interface ScrubProgressFile {
  /** Undefined when there is none, or when it cannot be understood. */
  read(): Promise<ScrubProgress | undefined>
  /** Puts it in the place of what was there, whole or not at all. Throws the system's error. */
  write(progress: ScrubProgress): Promise<void>
}

export function scrubProgressFile(files: FileSystem, layout: Layout): ScrubProgressFile {
  return {
    async read() {
      try {
        const opened = await openRegular(files, layout.scrub)
        if (opened === undefined || opened === 'other') return undefined
        const { handle } = opened
        const text = await handle.readFile('utf8').finally(() => handle.close())
        return progressSchema.safeParse(JSON.parse(text)).data
      } catch {
        return undefined
      }
    },
    async write(progress) {
      const temporary = layout.temporary()
      try {
        const handle = await files.open(temporary, 'wx', 0o600)
        try {
          await handle.writeFile(JSON.stringify(progress))
          await handle.sync()
        } finally {
          await handle.close()
        }
        await files.rename(temporary, layout.scrub)
      } catch (error) {
        // What cannot be removed now is removed at the next start.
        await files.unlink(temporary).catch(() => undefined)
        throw error
      }
    },
  }
}
