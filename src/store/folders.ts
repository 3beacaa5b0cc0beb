import { dirname } from 'node:path'
import type { Digest } from '../oci/digest.js'
import { makeDirectory, syncDirectory } from './durable.js'
import { hasCode, type FileSystem } from './file-system.js'
import { foldersOf, type Layout } from './layout.js'

/** The folders that blobs lie in, made when they are needed, and files moved into them durably. */
export class Folders {
  /** Folders that are known to be there durably, or are being made. */
  readonly #made = new Map<string, Promise<void>>()

  constructor(
    private readonly files: FileSystem,
    private readonly layout: Layout,
  ) {}

  /** Moves a synced file to where its digest says, over what lies there. Throws the system's error. */
  async moveIn(from: string, digest: Digest): Promise<void> {
    const place = this.layout.blob(digest)
    await this.#make(digest)
    try {
      await this.files.rename(from, place)
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error
      // Somebody took the folder away.
      this.#made.clear()
      await this.#make(digest)
      await this.files.rename(from, place)
    }
    try {
      await syncDirectory(this.files, dirname(place))
    } catch (error) {
      await this.files.unlink(place).catch(() => undefined)
      throw error
    }
  }

  async #make(digest: Digest): Promise<void> {
    for (const folder of foldersOf(this.layout, digest)) {
      const made = this.#made.get(folder) ?? this.#makeDurably(folder)
      this.#made.set(folder, made)
      try {
        await made
      } catch (error) {
        this.#made.delete(folder)
        throw error
      }
    }
  }

  /** One that is there already may have been made by a process that died before it was durable. */
  async #makeDurably(folder: string): Promise<void> {
    await makeDirectory(this.files, folder)
    await syncDirectory(this.files, dirname(folder))
  }
}
