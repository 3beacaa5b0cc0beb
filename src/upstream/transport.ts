import type { Dispatcher } from 'undici'
import { OciError } from '../oci/error.js'
import { discard } from './discard.js'
import type { Answer, Send } from './send.js'
import { connectionError } from './transport-error.js'
import { untilAborted } from '../until-aborted.js'

export interface TransportOptions {
  /** The upstream's name, for people. */
  readonly upstream: string
  /** Where to connect, as scheme, host and port. */
  readonly origin: string
  /** The registry's own host name; ECR tells registries apart by it. */
  readonly host: string
  readonly dispatcher: Dispatcher
}

/** The last step: sends a request as it is to one registry. Throws an OciError (502, 504), or the signal's reason. */
export function transport({ upstream, origin, host, dispatcher }: TransportOptions): Send {
  return async request => {
    const { method, path, body, signal } = request
    signal.throwIfAborted()
    const headers = checkedHeaders(request.headers)
    let answer: Answer
    try {
      // A request that still waits in the pool's queue does not hear its signal; its sender does.
      answer = await untilAborted(
        dispatcher.request({
          origin,
          method,
          path: checkedPath(path),
          headers: { ...headers, host },
          body: body ?? null,
          signal,
          // Who waits as long as it takes waits for the headers as well.
          ...(request.patience === Infinity && { headersTimeout: 0 }),
          onInfo: informedAtMost(MAX_INFORMED, upstream),
        }),
        signal,
      )
    } catch (error) {
      signal.throwIfAborted()
      throw connectionError(error, `the upstream "${upstream}"`, request.action)
    }
    if (answer.statusCode >= 200 && answer.statusCode < 600) return answer
    discard(answer.body)
    throw new OciError('UNKNOWN', `The upstream "${upstream}" answered with a status that there is not.`, {
      status: 502,
    })
  }
}

/** Informational answers (1xx) before the answer; each of them starts the wait for it anew, and nothing asks for any. */
const MAX_INFORMED = 16

function informedAtMost(times: number, upstream: string): () => void {
  let left = times
  return () => {
    if (left-- > 0) return
    throw new OciError('UNKNOWN', `The upstream "${upstream}" sends no answer but 1xx; try again.`, {
      status: 502,
    })
  }
}

const PATH = /^\/v2\/[\x21-\x7e]*$/
const HEADER_NAME = /^[a-z][a-z0-9-]*$/
const HEADER_VALUE = /^[\x20-\x7e\t]*$/

/** Framing and routing are the transport's own. */
const NOT_TO_BE_SET = [
  'connection',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

function checkedPath(path: string): string {
  if (!PATH.test(path)) throw new OciError('NAME_INVALID', 'The upstream has no such path.')
  return path
}

function checkedHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name) || NOT_TO_BE_SET.includes(name) || !HEADER_VALUE.test(value)) {
      throw new OciError('UNSUPPORTED', 'A header of this request cannot be sent on.', { status: 400 })
    }
  }
  return headers
}
