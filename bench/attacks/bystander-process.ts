/** The bystander: somebody who pulls a small image all the time and wants to notice nothing, in a process of their own. */
import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type PlainAnswer } from '../../test/support/requests.js'
import type {
  BystanderAnswer,
  BystanderOrder,
  OnePull,
  Pulled,
  PullOutcome,
  Seen,
} from './bystander-order.js'
import { BYSTANDER_ADDRESS, OWNER_ADDRESS } from './addresses.js'

/** Milliseconds from one request to the next, whether or not that one has been answered. */
const EVERY = 20
/** Every so many requests one has a connection of its own: one a second. */
const NEW_CONNECTION = 50
/** As many as are waited for at a time; further ones wait, and the time that they were due at counts. */
const MOST = 32
/** How long answers are waited for at the end. */
const GRACE = 2_000
/** One pull is given up after so long, as containerd 2.3 does. */
const PULL_WITHIN = 30_000

const kept = new Agent({ keepAlive: true, localAddress: BYSTANDER_ADDRESS })
const owners = new Agent({ keepAlive: true, localAddress: OWNER_ADDRESS })

interface Sort {
  readonly method: string
  readonly path: string
  readonly digest?: string
}

class Load {
  readonly #pulled: Pulled
  readonly #sorts: readonly Sort[]
  readonly #times: number[] = []
  readonly #failures: Record<string, number> = {}
  readonly #caches: Record<string, number> = {}
  readonly #open = new Set<number>()
  readonly #begun = performance.now()
  readonly #end = new AbortController()
  #next = 0
  #timer: NodeJS.Timeout | undefined
  #stopped: number | undefined

  constructor(pulled: Pulled) {
    this.#pulled = pulled
    const base = `/v2/${pulled.repository}`
    this.#sorts = [
      { method: 'GET', path: '/v2/' },
      { method: 'HEAD', path: `${base}/manifests/${pulled.tag}` },
      { method: 'GET', path: `${base}/manifests/${pulled.tag}` },
      { method: 'GET', path: `${base}/blobs/${pulled.blob}`, digest: pulled.blob },
    ]
    setMaxListeners(0, this.#end.signal)
    this.#go()
  }

  async stop(): Promise<Seen> {
    // What was due before now is sent, however late the timer is.
    this.#go()
    this.#stopped = performance.now()
    clearTimeout(this.#timer)
    while (this.#open.size > 0 && performance.now() < this.#stopped + GRACE) await sleep(10)
    this.#end.abort()
    for (const index of this.#open) this.#fail(index, 'no answer')
    for (; this.#due(this.#next) < this.#stopped; this.#next++) this.#fail(this.#next, 'no answer')
    return { times: this.#times, failures: this.#failures, caches: this.#caches }
  }

  #due(index: number): number {
    return this.#begun + index * EVERY
  }

  #go(): void {
    if (this.#stopped !== undefined) return
    clearTimeout(this.#timer)
    while (this.#due(this.#next) <= performance.now() && this.#open.size < MOST) void this.#send(this.#next++)
    if (this.#open.size < MOST)
      this.#timer = setTimeout(() => this.#go(), Math.max(0, this.#due(this.#next) - performance.now()))
  }

  async #send(index: number): Promise<void> {
    this.#open.add(index)
    const sort = this.#sorts[index % this.#sorts.length]
    const failure = sort && (await this.#ask(sort, index % NEW_CONNECTION === 0))
    // Those that are open at the end have been counted.
    if (!this.#open.delete(index) || this.#end.signal.aborted) return
    if (failure === undefined) this.#times.push(performance.now() - this.#due(index))
    else this.#fail(index, failure)
    this.#go()
  }

  /** What was wrong. */
  async #ask({ method, path, digest }: Sort, isNew: boolean): Promise<string | undefined> {
    const { url, authorization } = this.#pulled
    const agent = isNew ? new Agent({ localAddress: BYSTANDER_ADDRESS }) : kept
    try {
      const { signal } = this.#end
      const answer = await ask(url + path, { method, headers: { authorization }, agent, signal })
      const cache = cacheOf(answer)
      if (cache !== undefined) this.#caches[cache] = (this.#caches[cache] ?? 0) + 1
      if (answer.status !== 200) return String(answer.status)
      if (!answer.complete) return 'cut'
      const isRight = digest === undefined || digestOf(answer.bytes) === digest
      return isRight ? undefined : 'wrong bytes'
    } catch (error) {
      return codeOf(error)
    }
  }

  #fail(index: number, what: string): void {
    this.#times.push(Math.max(0, (this.#stopped ?? performance.now()) - this.#due(index)))
    this.#failures[what] = (this.#failures[what] ?? 0) + 1
  }
}

async function pullOnce({ url, authorization, path }: OnePull): Promise<PullOutcome> {
  const begun = performance.now()
  const signal = AbortSignal.timeout(PULL_WITHIN)
  const answer = await ask(url + path, { headers: { authorization }, agent: owners, signal }).catch(
    () => undefined,
  )
  const ms = performance.now() - begun
  return { status: answer?.complete ? answer.status : undefined, ms, cache: answer && cacheOf(answer) }
}

function cacheOf({ headers }: PlainAnswer): string | undefined {
  const value = headers['x-cache']
  return typeof value === 'string' ? value : undefined
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}

function answer(told: BystanderAnswer): void {
  process.send?.(told)
}

let load: Load | undefined

process.on('message', (order: BystanderOrder) => {
  if (order.do === 'begin') load = new Load(order.pulled)
  else if (order.do === 'end') void load?.stop().then(seen => answer({ seen }))
  else void pullOnce(order.pull).then(outcome => answer({ number: order.number, outcome }))
})
process.once('disconnect', () => process.exit())
process.send?.('ready')
