import { Transform, type Readable, type TransformCallback, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DigestMismatch, type DigestCheck } from '../oci/digest.js'

/** Passes bytes on and keeps the last of them back until all of them have the digest that they should have. */
class HoldBack extends Transform {
  readonly #check: DigestCheck
  #held: Buffer | undefined

  constructor(check: DigestCheck) {
    super()
    this.#check = check
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#check.update(chunk)
    const before = this.#held
    this.#held = chunk
    done(null, before)
  }

  override _flush(done: TransformCallback): void {
    if (this.#check.matches()) done(null, this.#held)
    else done(new DigestMismatch(this.#check.digest))
  }
}

/**
 * Streams a blob to a client whose headers, Content-Length among them, have been written. With a check the last bytes
 * are released only when it matches, so a body that is complete is a body that is true. On any failure both sides are
 * destroyed, and the promise rejects.
 */
export async function sendBlob(
  source: Readable,
  client: Writable,
  check: DigestCheck | undefined,
): Promise<void> {
  await (check === undefined ? pipeline(source, client) : pipeline(source, new HoldBack(check), client))
}
