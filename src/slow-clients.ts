import type { IncomingMessage, ServerResponse } from 'node:http'
import { isBulk } from './registry/bulk.js'

export interface SlowClientsOptions {
  /** How long, in milliseconds, a client may be behind its rate. */
  readonly grace: number
  /** Ends an exchange whose client is too slow. */
  readonly onTooSlow: (request: IncomingMessage, response: ServerResponse) => void
}

/**
 * The least rates, in bytes per second, of what a client owes: what it sends of a body, or takes of an answer. Of blobs
 * both ways, which may be large and the link of a CI job poor; and of everything else, which is small and has memory held
 * for it: 4 MiB may take four minutes and the grace.
 */
const RATE = { bulk: 2 * 1024, small: 16 * 1024 } as const

/** How often it is looked, in milliseconds, and how often at least within the grace. */
const INTERVAL = 1_000
const LOOKS_PER_GRACE = 5

/** One exchange, as it was when it was looked at last. */
interface Seen {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** How much longer the client may be behind its rate, in milliseconds. */
  credit: number
  received: number
  taken: number
  owed: boolean
}

/**
 * Watches that clients keep a least rate. A bound on standing still alone is none: a byte now and then holds a request,
 * and the memory for a manifest, for ever. Time counts only while the client itself owes something: bytes of a body that
 * somebody here waits for, or taking an answer that has been written. What the mirror waits for, such as the upstream's
 * answer to a push, and a body that is held up for its upstream, are none of its debts.
 */
export class SlowClients {
  readonly #options: SlowClientsOptions
  readonly #exchanges = new Map<ServerResponse, Seen>()
  readonly #timer: NodeJS.Timeout
  #lookedAt = performance.now()

  constructor(options: SlowClientsOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), Math.min(INTERVAL, options.grace / LOOKS_PER_GRACE))
    this.#timer.unref()
  }

  /** Watches an exchange until it is over. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    this.#exchanges.set(response, {
      request,
      response,
      credit: this.#options.grace,
      received: socket.bytesRead,
      taken: socket.bytesWritten - socket.writableLength,
      owed: false,
    })
  }

  over(response: ServerResponse): void {
    this.#exchanges.delete(response)
  }

  /** Watches nothing any more. */
  end(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = performance.now()
    // What a busy process did not get to is not the client's fault.
    const passed = Math.min(now - this.#lookedAt, 2 * INTERVAL)
    this.#lookedAt = now
    for (const seen of [...this.#exchanges.values()]) this.#lookAt(seen, passed)
  }

  #lookAt(seen: Seen, passed: number): void {
    const { request, response } = seen
    const { socket } = request
    const { grace, onTooSlow } = this.#options
    const rate = (isBulk(response) ? RATE.bulk : RATE.small) / 1000
    const unread = socket.writableLength
    const [received, taken] = [socket.bytesRead, socket.bytesWritten - unread]
    const moved = received - seen.received + (taken - seen.taken)
    const owed = unread > 0 || owesBody(request)
    if (owed && seen.owed) seen.credit -= passed
    seen.credit = Math.min(grace, seen.credit + moved / rate)
    Object.assign(seen, { received, taken, owed })
    // What was written at once shows as taken only when all of it is.
    if (seen.credit + unread / rate >= 0) return
    this.#exchanges.delete(response)
    onTooSlow(request, response)
  }
}

/** Whether somebody reads the body, as fast as it comes, and it has not come whole. */
function owesBody(request: IncomingMessage): boolean {
  return !request.complete && request.readableFlowing === true && request.readableLength === 0
}
