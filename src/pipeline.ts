import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { onceOver } from './registry/once-over.js'

/** A connection may have this many requests waiting. No registry client sends another one before its answer has come. */
export const MAX_WAITING = 100

interface Turn {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** It waits no more. */
  readonly endWait: () => void
}

/**
 * The requests of one connection, served one after the other. Node hands out all that have been sent; begun at once,
 * a client that reads no answers would have them all worked on, and one behind a refusal that ends the connection would
 * be carried out (RFC 9112, sections 9.3.2 and 9.6).
 */
export class Pipeline {
  readonly #serve: RequestListener
  readonly #wait: () => (() => void) | undefined
  /** The first one is being served. */
  readonly #turns: Turn[] = []

  /** `wait` lets one more request wait, until what it gives is called; it gives nothing when too many do elsewhere. */
  constructor(serve: RequestListener, wait: () => (() => void) | undefined) {
    this.#serve = serve
    this.#wait = wait
  }

  get isEmpty(): boolean {
    return this.#turns.length === 0
  }

  /** Whether what comes next would be taken for the answer to what was sent last: a request that has not come whole. */
  get mayBeRefused(): boolean {
    return this.#turns.every(({ request, response }) => !request.complete && !response.headersSent)
  }

  /**
   * Whether it is not the client's turn: it has sent all of its request, or more of it than was read so far, and has
   * taken all that there is of the answer.
   */
  get keepsClientWaiting(): boolean {
    const [current] = this.#turns
    if (!current || current.response.writableLength > 0) return false
    return current.request.complete || current.request.readableLength > 0
  }

  /** Serves the request when its turn comes, if it does. */
  add(request: IncomingMessage, response: ServerResponse): void {
    // Nothing that stands behind the end of a connection is a request.
    if (!request.socket.writable) return
    if (this.isEmpty) {
      this.#turns.push({ request, response, endWait: () => undefined })
      this.#begin()
      return
    }
    const endWait = this.#turns.length < MAX_WAITING ? this.#wait() : undefined
    if (endWait) this.#turns.push({ request, response, endWait })
    else request.socket.destroy()
  }

  /** Has the connection end with the answer that is being made, if its head has not gone out. */
  endAfterThis(): void {
    const [current] = this.#turns
    if (current) current.response.shouldKeepAlive = false
  }

  #begin(): void {
    const [current] = this.#turns
    if (!current) return
    const { request, response, endWait } = current
    endWait()
    onceOver(request, response, () => {
      this.#turns.shift()
      if (request.socket.writable) this.#begin()
      else for (const turn of this.#turns.splice(0)) turn.endWait()
    })
    this.#serve(request, response)
  }
}
