import { LRUCache } from 'lru-cache'
import { SESSION_LIFETIME, type UploadSession } from './upload-session.js'

/** Sent for an upload, and not answered yet. */
export interface UploadStep {
  /** The upload as it was before; undefined when this process did not know. */
  readonly before: UploadSession | undefined
}

/** Uploads of which it is known how far they are; the newest are kept. */
const MAX_UPLOADS = 10_000

/**
 * What this process knows of uploads. Their sessions hold what was true when each was given out, and a client may come
 * with an older one, or with one of another process. Only who has seen every answer since knows how far an upload is:
 * what is not known here is left to the upstream.
 */
export class UploadProgress {
  readonly #uploads = new LRUCache<string, { readonly session: UploadSession } | UploadStep | 'over'>({
    max: MAX_UPLOADS,
    ttl: SESSION_LIFETIME,
  })

  /**
   * The session that says how far the upload is; undefined when this process does not know, as when `session` is further:
   * then another process has gone on with the upload meanwhile.
   */
  latest({ id, offset }: UploadSession): UploadSession | undefined {
    const known = this.#uploads.get(id)
    if (known === undefined || known === 'over' || !('session' in known)) return undefined
    return known.session.offset >= offset ? known.session : undefined
  }

  /** Whether the upload came to its end, was given up, or broke off: nothing can be added to it. */
  isOver({ id }: UploadSession): boolean {
    return this.#uploads.get(id) === 'over'
  }

  /** The upstream has all that this session says, and no more. */
  learn(session: UploadSession): void {
    this.#uploads.set(session.id, { session })
  }

  /** Something is about to be sent. Until it is answered nobody knows how far the upload is. */
  begin(session: UploadSession): UploadStep {
    const step = { before: this.latest(session) }
    this.#uploads.set(session.id, step)
    return step
  }

  /** The upstream took what was sent; `after` is the session from here on. */
  taken(step: UploadStep, after: UploadSession): void {
    // Of two steps at once nobody knows the order.
    if (this.#uploads.get(after.id) === step) this.learn(after)
    else this.forget(after)
  }

  /** The upstream took nothing of what was sent. */
  untouched(step: UploadStep, { id }: UploadSession): void {
    if (step.before && this.#uploads.get(id) === step) this.learn(step.before)
    else this.#uploads.delete(id)
  }

  /** Nobody here knows how far the upload is. */
  forget({ id }: UploadSession): void {
    this.#uploads.delete(id)
  }

  end({ id }: UploadSession): void {
    this.#uploads.set(id, 'over')
  }
}
