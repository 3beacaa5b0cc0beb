import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Action } from './knobs.js'

export type Listener = 'registry' | 'api' | 's3'

/** One request as it arrived, and what became of it. */
export interface RecordedRequest {
  at: Listener
  readonly method: string
  /** The request target, raw. */
  readonly url: string
  readonly host: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, in the order and case of the wire. */
  readonly rawHeaders: readonly string[]
  readonly startedAt: number
  action: Action | undefined
  account: string | undefined
  region: string | undefined
  /** The access key that signed an API call, or that the token of a registry request was minted for. */
  accessKeyId: string | undefined
  /** Once the answer has ended or was cut; undefined when it never began. */
  status: number | undefined
  /** Bytes of the request's body that were read. */
  bodyBytes: number
  /** The answer has ended or was cut. */
  done: boolean
  /** The far side left before the answer was complete. */
  aborted: boolean
  /** The stand-in itself cut the connection. */
  cut: boolean
}

/** All that is given must hold; `target` is the action by another name, `path` matches the raw target. */
export interface RequestFilter {
  at?: Listener
  method?: string
  action?: Action
  target?: string
  status?: number
  path?: string | RegExp
  host?: string
  account?: string
  region?: string
  accessKeyId?: string
  aborted?: boolean
}

export class Recorder {
  readonly requests: RecordedRequest[] = []
  #open = 0
  readonly #waiting = new Set<() => void>()

  get open(): number {
    return this.#open
  }

  arrived(at: Listener, request: IncomingMessage, response: ServerResponse): RecordedRequest {
    const record: RecordedRequest = {
      at,
      method: request.method ?? '',
      url: request.url ?? '',
      host: request.headers.host ?? '',
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      startedAt: Date.now(),
      action: undefined,
      account: undefined,
      region: undefined,
      accessKeyId: undefined,
      status: undefined,
      bodyBytes: 0,
      done: false,
      aborted: false,
      cut: false,
    }
    this.requests.push(record)
    this.#open += 1
    this.#changed()
    const ended = (complete: boolean): void => {
      if (record.done) return
      record.done = true
      if (response.headersSent) record.status = response.statusCode
      record.aborted = !complete && !record.cut
      this.#open -= 1
      this.#changed()
    }
    response.once('finish', () => ended(true))
    response.once('close', () => ended(false))
    return record
  }

  /** Resolves as soon as `is` holds; looked at whenever a request arrives or ends. */
  until(is: () => boolean): Promise<void> {
    return new Promise(resolve => {
      const look = (): void => {
        if (!is()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  #changed(): void {
    // What an arrival means is known once its listener has looked at it.
    setImmediate(() => {
      for (const look of this.#waiting) look()
    })
  }

  count(filter: RequestFilter | ((request: RecordedRequest) => boolean) = {}): number {
    const wanted =
      typeof filter === 'function' ? filter : (record: RecordedRequest) => matches(record, filter)
    return this.requests.filter(wanted).length
  }
}

function matches(record: RecordedRequest, filter: RequestFilter): boolean {
  const { path, target, ...exact } = filter
  if (target !== undefined && record.action !== target) return false
  if (typeof path === 'string' && !record.url.includes(path)) return false
  if (path instanceof RegExp && !path.test(record.url)) return false
  return Object.entries(exact).every(([name, value]) => record[name as keyof typeof exact] === value)
}
