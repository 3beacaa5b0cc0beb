import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { UpstreamObserver } from './observer.js'

/** Counts the bytes of bodies as they pass, both ways, also of those that break off. */
export function countBodies({
  received,
  sent,
}: Pick<UpstreamObserver, 'received' | 'sent'>): Dispatcher.DispatcherComposeInterceptor {
  return dispatch => (request, handler) =>
    dispatch(request, {
      onRequestStart(controller, context) {
        const { body } = request
        if (Buffer.isBuffer(body)) sent(body.length)
        // What it is written to listens before any of it comes, so this one more listener takes nothing away.
        else if (body instanceof Readable) body.on('data', (chunk: Buffer) => sent(chunk.length))
        handler.onRequestStart?.(controller, context)
      },
      onRequestUpgrade: (...parts) => handler.onRequestUpgrade?.(...parts),
      onResponseStart: (...parts) => handler.onResponseStart?.(...parts),
      onResponseData(controller, chunk) {
        received(chunk.length)
        handler.onResponseData?.(controller, chunk)
      },
      onResponseEnd: (...parts) => handler.onResponseEnd?.(...parts),
      onResponseError: (...parts) => handler.onResponseError?.(...parts),
    })
}
