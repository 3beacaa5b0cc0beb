import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { sendLease, type LeasedBytes } from '../../src/registry/send-lease.js'
import { CacheTrouble } from '../../src/store/blob-store.js'
import type { CacheResult, Lease } from '../../src/store/lease.js'
import { ask, type PlainAnswer } from '../support/requests.js'

const BYTES = randomBytes(3_000_000)
const digest = digestOf(BYTES)
const never = new AbortController().signal

/** A lease of bytes in memory; what is read from `failsAt` on, and not before, is the cache's trouble. */
function leaseOf(bytes: Buffer, failsAt = Infinity, result: CacheResult = 'miss'): Lease {
  return {
    size: bytes.length,
    result,
    read: async (buffer, position) => {
      if (position >= failsAt) throw new CacheTrouble('EIO')
      return bytes.copy(buffer, 0, position, Math.min(failsAt, position + buffer.length))
    },
    want: () => undefined,
    release: () => undefined,
  }
}

/** Sends to a real client; what it got, and what became of the sending. */
async function send(
  t: Test,
  bytes: LeasedBytes,
): Promise<{ readonly answer: PlainAnswer | undefined; readonly error: unknown; readonly begun: number }> {
  let begun = 0
  let error: unknown
  const server = createServer((_request, response: ServerResponse) => {
    const begin = (): void => {
      begun++
      response.writeHead(200, { 'content-length': bytes.last - bytes.first + 1 })
    }
    sendLease(bytes, begin, response, never).catch((cause: unknown) => {
      error = cause
      response.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const answer = await ask(`http://127.0.0.1:${port}/`).catch(() => undefined)
  server.closeAllConnections()
  return { answer, error, begun }
}

const whole = (lease: Lease, rest: Buffer = BYTES): LeasedBytes & { opened: number[] } => {
  const opened: number[] = []
  return {
    turn: () => undefined,
    lease,
    digest,
    first: 0,
    last: BYTES.length - 1,
    whole: true,
    opened,
    openRest: async position => {
      opened.push(position)
      return Readable.from([rest.subarray(position, position + 70_000), rest.subarray(position + 70_000)])
    },
  }
}

t.test('a lease is sent whole', async t => {
  for (const result of ['hit', 'join', 'miss'] as const) {
    const { answer, begun } = await send(t, whole(leaseOf(BYTES, Infinity, result)))
    t.ok(answer?.complete && answer.bytes.equals(BYTES), result)
    t.equal(begun, 1)
  }
})

t.test('where the cache fails the rest comes from the upstream, unseen', async t => {
  for (const failsAt of [0, 1, 1_000_000, BYTES.length - 1]) {
    const bytes = whole(leaseOf(BYTES, failsAt))
    const { answer, error } = await send(t, bytes)
    t.ok(answer?.complete && answer.bytes.equals(BYTES), `from byte ${failsAt} on`)
    t.equal(error, undefined)
    t.same(bytes.opened, [failsAt])
  }
})

t.test('and is still held to the digest of the whole', async t => {
  const wrong = Buffer.from(BYTES)
  wrong[2_000_000]! ^= 1
  const { answer, error } = await send(t, whole(leaseOf(BYTES, 1_000_000), wrong))
  t.equal(answer?.complete, false)
  t.match(error, { name: 'DigestMismatch' })
})

t.test('what was sent before counts too', async t => {
  const wrong = Buffer.from(BYTES)
  wrong[500]! ^= 1
  const { answer } = await send(t, whole(leaseOf(wrong, 1_000_000)))
  t.equal(answer?.complete, false)
})

t.test('a range goes on where it was', async t => {
  const bytes = { ...whole(leaseOf(BYTES, 1_200_000)), first: 1_000_000, last: 1_999_999, whole: false }
  const { answer } = await send(t, {
    ...bytes,
    openRest: async position => Readable.from([BYTES.subarray(position, 2_000_000)]),
  })
  t.ok(answer?.complete && answer.bytes.equals(BYTES.subarray(1_000_000, 2_000_000)))
})

t.test('of a stored blob nothing is promised before there is something to send', async t => {
  const failing = { ...leaseOf(BYTES, Infinity, 'hit'), read: () => Promise.reject(new Error('bad')) }
  const { begun, answer } = await send(t, whole(failing))
  t.equal(begun, 0)
  t.equal(answer, undefined)
})

t.test('what was opened for the rest is closed when it cannot be used', async t => {
  let reads = 0
  const lease: Lease = {
    ...leaseOf(BYTES),
    read: async (buffer, position) => {
      if (reads++ > 0) throw new CacheTrouble('EIO')
      return BYTES.copy(buffer, 0, position, position + buffer.length)
    },
  }
  // More than is worth reading for the sake of a connection.
  const rest = Readable.from(Array.from({ length: 100 }, () => randomBytes(10_000)))
  const { answer, error } = await send(t, { ...whole(lease), openRest: () => Promise.resolve(rest) })
  t.equal(answer?.complete, false)
  t.match(error, { code: 'EIO' })
  for (let tries = 0; tries < 100 && !rest.destroyed; tries++)
    await new Promise(resolve => setTimeout(resolve, 10))
  t.ok(rest.destroyed)
})
