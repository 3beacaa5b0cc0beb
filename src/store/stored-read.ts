import type { Digest } from '../oci/digest.js'
import { asError } from './as-error.js'
import type { StoredBlob } from './blob-store.js'
import { hasDigest } from './hash-follower.js'
import { DigestMismatch, type Lease } from './lease.js'
import { SharedBlob } from './shared-blob.js'

export interface StoredReadOptions {
  readonly digest: Digest
  /** Released when nobody reads it any more. */
  readonly stored: StoredBlob
  /** Whether it is hashed meanwhile. */
  readonly check: boolean
  /** What the check found wrong, if anything; called before any reader hears of it. */
  readonly onChecked: (trouble: Error | undefined) => void
}

/** A stored blob being read, by one or by many, and hashed beside them. The hash goes on to its end without readers. */
export class StoredRead {
  readonly #stored: StoredBlob
  readonly #blob: SharedBlob
  readonly #stop = new AbortController()
  readonly #checked: Promise<void>
  #users = 0

  constructor({ digest, stored, check, onChecked }: StoredReadOptions) {
    this.#stored = stored
    this.#blob = new SharedBlob({
      digest,
      bytes: stored,
      verified: !check,
      readableTo: position => Math.max(position, stored.size),
    })
    this.#checked = check ? this.#check(digest, onChecked) : Promise.resolve()
  }

  lease(): Lease {
    this.#users++
    return this.#blob.lease('hit', () => this.#leave())
  }

  /** Ends the check, and the reading with it. */
  async stop(reason: Error): Promise<void> {
    this.#blob.cut(reason)
    this.#stop.abort(reason)
    await this.#checked
  }

  async #check(digest: Digest, onChecked: (trouble: Error | undefined) => void): Promise<void> {
    this.#users++
    const { signal } = this.#stop
    try {
      const right = await hasDigest({
        digest,
        bytes: this.#stored,
        reached: () => (signal.aborted ? Promise.reject(signal.reason as Error) : Promise.resolve()),
      })
      if (right) this.#stored.markVerified()
      const trouble = right ? undefined : new DigestMismatch(digest)
      onChecked(trouble)
      if (trouble) this.#blob.cut(trouble)
      else this.#blob.reveal()
    } catch (error) {
      const trouble = asError(error)
      if (!signal.aborted) onChecked(trouble)
      this.#blob.fail(trouble)
    }
    this.#leave()
  }

  #leave(): void {
    this.#users--
    if (this.#users === 0) this.#stored.release()
  }
}
