import { Transform, type Readable, type TransformCallback, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { digestCheck, type Digest } from '../oci/digest.js'

/** A body whose bytes are not what its digest says. */
export class DigestMismatch extends Error {
  constructor(readonly digest: Digest) {
    super(`The upstream's bytes do not have the digest ${digest}.`)
    this.name = 'DigestMismatch'
  }
}

/** Passes bytes on and keeps the last of them back until all of them have the digest that they should have. */
class HoldBack extends Transform {
  readonly #digest: Digest
  readonly #check: ReturnType<typeof digestCheck>
  #held: Buffer | undefined

  constructor(digest: Digest) {
    super()
    this.#digest = digest
    this.#check = digestCheck(digest)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#check.update(chunk)
    const before = this.#held
    this.#held = chunk
    done(null, before)
  }

  override _flush(done: TransformCallback): void {
    if (this.#check.matches()) done(null, this.#held)
    else done(new DigestMismatch(this.#digest))
  }
}

/**
 * Streams a blob to a client whose headers, Content-Length among them, have been written. With a digest the last bytes
 * are released only when it is right, so a body that is complete is a body that is true. On any failure both sides are
 * destroyed, and the promise rejects.
 */
export async function sendBlob(
  source: Readable,
  client: Writable,
  digest: Digest | undefined,
): Promise<void> {
  await (digest === undefined ? pipeline(source, client) : pipeline(source, new HoldBack(digest), client))
}
