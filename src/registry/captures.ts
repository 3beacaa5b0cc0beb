import type { FastifyInstance, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.js'
import type { BlobCache } from '../store/blob-cache.js'
import type { Capture } from '../store/capture.js'
import { exchangeOf } from './exchange.js'
import { onceOver } from './once-over.js'
import type { UploadSession } from './upload-session.js'

export interface CapturesOptions {
  readonly blobs: BlobCache
  /** Uploads that wait for their next request at a time; of whoever has most of them the newest are kept. */
  readonly maxIdle?: number
  /** How long each may wait, in milliseconds. */
  readonly idleTime?: number
}

/**
 * The bytes of uploads on their way into the cache. A capture is either with one request or waits for the next one of
 * its upload; so what goes on in another process, or in two requests at once, is never taken for the whole.
 */
export interface Captures {
  /** For the body of a request that brings all of an upload. */
  begin(request: FastifyRequest): Capture | undefined
  /** For the body of a request that begins or continues an upload; undefined unless all before it passed here. */
  resume(request: FastifyRequest, session: UploadSession): Capture | undefined
  /** The upstream took the request's body: its capture waits for the next one. */
  hold(request: FastifyRequest, session: UploadSession): void
  /** The upstream has the blob now, of `size` bytes; they are kept if they were all captured. */
  keep(request: FastifyRequest, digest: Digest, size: number): void
  /** The upload was given up. */
  discard(session: UploadSession): void
}

/** A capture that waits for the next request of its upload, and whose that is. */
interface Idle {
  readonly capture: Capture
  readonly owner: string
}

/** What a request does not hand on is discarded when it is over. */
export function createCaptures(
  app: FastifyInstance,
  { blobs, maxIdle = 64, idleTime = 15 * 60_000 }: CapturesOptions,
): Captures {
  const current = new WeakMap<FastifyRequest, Capture>()
  const waiting = new LRUCache<string, Idle>({
    max: maxIdle,
    ttl: idleTime,
    ttlAutopurge: true,
    dispose: ({ capture }, _session, reason) => {
      if (reason !== 'delete') drop(capture, 'The upload did not go on.')
    },
  })

  app.addHook('onRequest', async (request, reply) => {
    onceOver(request.raw, reply.raw, () => {
      const capture = takeBack(request)
      if (capture) drop(capture, 'The upload broke off or was refused.')
    })
  })

  function drop(capture: Capture, reason: string): void {
    void capture.discard(new Error(reason))
  }

  function handOver(request: FastifyRequest, capture: Capture | undefined): Capture | undefined {
    if (!capture) return undefined
    // The end of such a request has been noticed already; nobody would take the capture back.
    if (exchangeOf(request).gone.aborted) {
      drop(capture, 'The client has left.')
      return undefined
    }
    current.set(request, capture)
    return capture
  }

  function takeBack(request: FastifyRequest): Capture | undefined {
    const capture = current.get(request)
    current.delete(request)
    return capture
  }

  function next({ id }: UploadSession): Capture | undefined {
    const idle = waiting.get(id)
    waiting.delete(id)
    return idle?.capture
  }

  /** Whose uploads wait in the largest number, if `newcomer` had one more. */
  function whoHasMost(newcomer: string): string {
    const counts = new Map([[newcomer, 1]])
    for (const { owner } of waiting.values()) counts.set(owner, (counts.get(owner) ?? 0) + 1)
    return [...counts].reduce((most, each) => (each[1] > most[1] ? each : most))[0]
  }

  function dropOldestOf(wanted: string): void {
    for (const id of waiting.rkeys()) {
      const idle = waiting.peek(id)
      if (idle?.owner !== wanted) continue
      waiting.delete(id)
      drop(idle.capture, 'The upload did not go on.')
      return
    }
  }

  return {
    begin: request => handOver(request, blobs.capture(exchangeOf(request).share.client)),
    resume(request, session) {
      const capture = next(session)
      if (!capture)
        return session.offset === 0
          ? handOver(request, blobs.capture(exchangeOf(request).share.client))
          : undefined
      if (capture.bytes === session.offset) return handOver(request, capture)
      drop(capture, 'The upload went on elsewhere.')
      return undefined
    },
    hold(request, session) {
      const capture = takeBack(request)
      if (!capture || capture.isOver) return
      if (waiting.size >= maxIdle && !waiting.has(session.id)) dropOldestOf(whoHasMost(session.principal))
      waiting.set(session.id, { capture, owner: session.principal })
    },
    keep(request, digest, size) {
      const capture = takeBack(request)
      if (!capture) return
      if (capture.bytes === size) blobs.keep(digest, capture)
      else drop(capture, 'Not all of the upload passed here.')
    },
    discard(session) {
      const capture = next(session)
      if (capture) drop(capture, 'The upload was given up.')
    },
  }
}
