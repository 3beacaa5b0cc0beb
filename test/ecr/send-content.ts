import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Content } from './content.js'
import type { S3Knobs } from './knobs.js'
import { endShort, type Exchange } from './server.js'

/**
 * Answers with the bytes of `content`, or the range of them that was asked for, with whatever faults the knobs
 * order. `headers` go with every answer.
 */
export async function sendContent(
  exchange: Exchange,
  content: Content,
  knobs: S3Knobs,
  headers: Record<string, string>,
  unsatisfiable: () => void,
): Promise<void> {
  const { request, response } = exchange
  const asked = knobs.range ? rangeOf(request.headers.range, content.size, knobs.multiRange) : undefined
  if (asked === 'unsatisfiable') {
    unsatisfiable()
    return
  }
  const { first, last } = asked ?? { first: 0, last: content.size - 1 }
  response.writeHead(asked ? 206 : 200, {
    ...headers,
    ...(knobs.range && { 'Accept-Ranges': 'bytes' }),
    ...(asked && { 'Content-Range': `bytes ${first}-${last}/${content.size}` }),
    ...(knobs.contentLengthLie !== 0 && { Connection: 'close' }),
    'Content-Length': last + 1 - first + knobs.contentLengthLie,
  })
  if (request.method === 'HEAD') return void response.end()
  await sendBytes(exchange, content, first, last, knobs)
}

async function sendBytes(
  exchange: Exchange,
  content: Content,
  first: number,
  last: number,
  knobs: S3Knobs,
): Promise<void> {
  const { response, signal } = exchange
  const limit = takeCut(knobs)
  const startedAt = performance.now()
  let sent = 0
  for await (const whole of content.read(first, last)) {
    const corrupted = corrupt(whole, (knobs.corruptByte ?? -1) - first - sent)
    const chunk = limit === undefined ? corrupted : corrupted.subarray(0, limit - sent)
    for (const piece of knobs.slow === undefined ? [chunk] : pieces(chunk, knobs.slow)) {
      if (signal.aborted) return
      if (piece.length > 0 && !response.write(piece)) await drained(exchange)
      sent += piece.length
      if (knobs.slow !== undefined) {
        const ahead = (sent / knobs.slow) * 1000 - (performance.now() - startedAt)
        if (ahead > 0) await sleep(ahead, undefined, { signal }).catch(() => undefined)
      }
    }
    if (sent === limit) break
  }
  if (signal.aborted) return
  if (sent === limit || knobs.contentLengthLie !== 0) endShort(exchange)
  else response.end()
}

function takeCut(knobs: S3Knobs): number | undefined {
  const order = knobs.cutAfterBytes
  if (!order || order.times <= 0) return undefined
  order.times -= 1
  return order.bytes
}

/** A tenth of a second's worth at a time. */
function* pieces(chunk: Buffer, bytesPerSecond: number): Generator<Buffer> {
  const size = Math.max(1, Math.floor(bytesPerSecond / 10))
  for (let at = 0; at < chunk.length; at += size) yield chunk.subarray(at, at + size)
}

function corrupt(chunk: Buffer, at: number): Buffer {
  if (at < 0 || at >= chunk.length) return chunk
  const wrong = Buffer.from(chunk)
  wrong.writeUInt8(wrong.readUInt8(at) ^ 0xff, at)
  return wrong
}

async function drained({ response, signal }: Exchange): Promise<void> {
  await once(response, 'drain', { signal }).catch(() => undefined)
}

/** Undefined means the whole. S3 does not serve several ranges in one answer. */
function rangeOf(
  header: string | undefined,
  size: number,
  multiRange: S3Knobs['multiRange'],
): { first: number; last: number } | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined
  if (header.includes(',')) return multiRange === '416' ? 'unsatisfiable' : undefined
  const match = /^bytes=(\d*)-(\d*)$/.exec(header)
  const [, from = '', to = ''] = match ?? []
  if (from === '' && to === '') return undefined
  if (from === '') {
    const suffix = Number(to)
    return suffix === 0 || size === 0
      ? 'unsatisfiable'
      : { first: Math.max(0, size - suffix), last: size - 1 }
  }
  const first = Number(from)
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (to !== '' && Number(to) < first) return undefined
  return first >= size ? 'unsatisfiable' : { first, last }
}
