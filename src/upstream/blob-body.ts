import type { Readable } from 'node:stream'
import { parseContentRange, resolveByteRange, type ByteRange } from '../oci/byte-range.js'
import { OciError } from '../oci/error.js'
import { discard } from './discard.js'
import { headerOf } from './headers.js'
import type { Answer } from './send.js'

/** An open blob. Positions are zero-based and inclusive; an empty blob has first 0 and last -1. */
export interface BlobBody {
  /** 206 only when a range was asked for. */
  readonly status: 200 | 206
  /** Of the whole blob, in bytes. */
  readonly size: number
  readonly first: number
  readonly last: number
  /** Of the body, in bytes. */
  readonly length: number
  /** To be read to its end or destroyed. */
  readonly body: Readable
}

/**
 * The blob in a 200 or 206 answer to a request for `range`. A 200 is the whole, whatever was asked. Throws an
 * OciError (502), with the body taken care of, when the answer is not exactly what was asked for.
 */
export function blobBodyOf(answer: Answer, range: ByteRange | undefined): BlobBody {
  const part = answer.statusCode === 206 ? partOf(answer, range) : wholeOf(answer)
  if (part && !isEncoded(answer)) return { ...part, body: answer.body }
  discard(answer.body)
  throw somethingElse()
}

/** The answer when what an upstream sends cannot be what was asked for. */
export function somethingElse(): OciError {
  return new OciError('UNKNOWN', 'ecr-mirror: the upstream sent something else than the bytes of the blob.', {
    status: 502,
  })
}

type Part = Omit<BlobBody, 'body'>

function wholeOf(answer: Answer): Part | undefined {
  const size = contentLengthOf(answer)
  return size === undefined ? undefined : { status: 200, size, first: 0, last: size - 1, length: size }
}

function partOf(answer: Answer, range: ByteRange | undefined): Part | undefined {
  const sent = parseContentRange(headerOf(answer.headers, 'content-range'))
  const asked = range && sent && resolveByteRange(range, sent.size)
  if (!sent || asked?.first !== sent.first || asked.last !== sent.last) return undefined
  const length = sent.last - sent.first + 1
  return (contentLengthOf(answer) ?? length) === length ? { status: 206, ...sent, length } : undefined
}

/** In bytes; undefined when it is missing or nonsense. */
export function contentLengthOf(answer: Answer): number | undefined {
  const text = headerOf(answer.headers, 'content-length')
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Somebody on the way compressed what must arrive as it is. */
function isEncoded(answer: Answer): boolean {
  const encoding = answer.headers['content-encoding']
  return encoding !== undefined && encoding !== 'identity'
}

/** A range beyond the blob's end, which may say where that is (RFC 9110, section 15.5.17). */
export class RangeNotSatisfiable extends OciError {
  /** Of the whole blob, in bytes, if the answer had it. */
  readonly size: number | undefined

  constructor(answer: Answer) {
    const size = /^bytes \*\/(\d{1,15})$/.exec(headerOf(answer.headers, 'content-range') ?? '')?.[1]
    super('SIZE_INVALID', 'The range begins beyond the end of the blob.', {
      status: 416,
      ...(size !== undefined && { headers: { 'content-range': `bytes */${size}` } }),
    })
    this.size = size === undefined ? undefined : Number(size)
  }
}
