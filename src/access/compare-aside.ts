import type { ScryptOptions } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import type {} from './hash-thread.js'

/** A password hash as plain data, which another thread can be given. */
export type StoredHash =
  | { readonly algorithm: 'bcrypt' | 'argon2id'; readonly text: string }
  | {
      readonly algorithm: 'scrypt'
      readonly salt: Uint8Array
      readonly hash: Uint8Array
      readonly options: ScryptOptions
    }

/** What the hash thread is asked. */
export interface Question {
  readonly id: number
  readonly stored: StoredHash
  readonly password: string
}

export type Answer =
  { readonly id: number; readonly good: boolean } | { readonly id: number; readonly failure: string }

interface Asked {
  readonly resolve: (good: boolean) => void
  readonly reject: (error: Error) => void
}

let thread: Worker | undefined
let lastId = 0
const asked = new Map<number, Asked>()

/**
 * Whether a password is the one that was hashed, found out in a thread that the process keeps for that: it takes one core
 * at most, neither the event loop nor libuv's pool, by way of which files are read, and comes after all else that wants to
 * run. Who asks sees to it that few ask at a time.
 */
export function compareAside(stored: StoredHash, password: string): Promise<boolean> {
  const id = ++lastId
  return new Promise((resolve, reject) => {
    asked.set(id, { resolve, reject })
    thread ??= begin()
    thread.ref()
    thread.postMessage({ id, stored, password } satisfies Question)
  })
}

function begin(): Worker {
  const worker = new Worker(new URL('./hash-thread.js', import.meta.url), { execArgv: [] })
  worker.on('message', (answer: Answer) => {
    const question = asked.get(answer.id)
    asked.delete(answer.id)
    if (asked.size === 0) worker.unref()
    if ('failure' in answer) question?.reject(new Error(answer.failure))
    else question?.resolve(answer.good)
  })
  const end = (error: Error): void => {
    if (thread !== worker) return
    thread = undefined
    for (const { reject } of asked.values()) reject(error)
    asked.clear()
  }
  worker.on('error', end)
  worker.on('exit', () => end(new Error('The hash thread has ended.')))
  return worker
}
