import type { Operation, RequestOutcome, UpstreamObserver } from './observer.js'
import type { Answer, Send } from './send.js'
import { ConnectionFailure } from './transport-error.js'

/** The step of the way out that tells the observer of each request that is really sent. */
export function observe(observer: UpstreamObserver): (send: Send) => Send {
  return send => request => observed(observer, request.action, request.signal, () => send(request))
}

/** Sends something, and tells the observer how that came out. */
export async function observed(
  observer: UpstreamObserver,
  operation: Operation,
  signal: AbortSignal,
  send: () => Promise<Answer>,
): Promise<Answer> {
  const ended = observer.began(operation)
  try {
    const answer = await send()
    ended(answer.statusCode)
    return answer
  } catch (error) {
    ended(signal.aborted ? 'aborted' : failureIn(error))
    throw error
  }
}

function failureIn(error: unknown): RequestOutcome {
  if (error instanceof ConnectionFailure) return error.sent ? 'broken_off' : 'unreachable'
  return error instanceof Error && 'status' in error && error.status === 504 ? 'timeout' : 'failed'
}
