import { Readable } from 'node:stream'
import type { Answer } from './send.js'

const BROKEN_OFF: IteratorResult<Buffer, undefined> = { done: true, value: undefined }

/** An answer of which the body's beginning is known; its own body is still whole. */
export interface Peeked {
  readonly answer: Answer
  /** All of the body when it is shorter than the limit. */
  readonly beginning: Buffer
}

/**
 * Reads up to about `limit` bytes of an answer's body, and gives an equal answer to read them from again. A body that
 * breaks off until then ends there: of a refusal, the status says it all.
 */
export async function peek(answer: Answer, limit: number): Promise<Peeked> {
  const chunks: Buffer[] = []
  const rest = answer.body[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>
  let length = 0
  let ended = false
  while (!ended && length < limit) {
    const next = await rest.next().catch(() => BROKEN_OFF)
    if (next.done) ended = true
    else {
      chunks.push(next.value)
      length += next.value.length
    }
  }
  const beginning = Buffer.concat(chunks, length)
  const body = ended
    ? Readable.from(chunks, { objectMode: false })
    : Readable.from(again(chunks, rest), { objectMode: false })
  // Whoever destroys the copy is done with the original.
  body.once('close', () => answer.body.destroy())
  return { answer: { ...answer, body }, beginning }
}

async function* again(chunks: readonly Buffer[], rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield* chunks
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
}
