import { fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Blob, Image } from '../content.js'
import {
  S3_ADDRESS,
  type Answer,
  type Limits,
  type NumberedOrder,
  type Order,
  type Started,
} from './order.js'

/** The far side of every server under measurement: a process of its own, whose CPU time counts for nobody. */
export interface Upstream {
  /** The registry and the ECR API. */
  readonly url: string
  /** The same registry, for whoever cannot log in. */
  readonly openUrl: string
  /** host:port that blobs are redirected to. */
  readonly s3Host: string
  add(...blobs: readonly Blob[]): Promise<void>
  addImage(tag: string, image: Image): Promise<void>
  limit(limits: Limits): Promise<void>
  /** Bytes of blobs that it has sent so far. */
  sentBytes(): Promise<number>
  close(): Promise<void>
}

/** The name of an ECR registry that nobody asks the DNS for. */
export const ECR_HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
/** It is in every repository. */
export const REPOSITORY = 'team/app'

export async function startUpstream(): Promise<Upstream> {
  const main = fileURLToPath(new URL(`process${extname(import.meta.url)}`, import.meta.url))
  const child = fork(main, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  const lost = ended.then(([code]) => Promise.reject(new Error(`The upstream ended with ${String(code)}`)))
  const [started] = (await Promise.race([once(child, 'message'), lost])) as [Started]

  const waiting = new Map<number, (sentBytes: number) => void>()
  child.on('message', ({ number, sentBytes }: Answer) => {
    waiting.get(number)?.(sentBytes)
    waiting.delete(number)
  })
  let orders = 0
  const tell = (order: Order): Promise<number> => {
    const numbered: NumberedOrder = { number: ++orders, order }
    const answered = new Promise<number>(resolve => waiting.set(numbered.number, resolve))
    // Why it cannot be sent is that the process has ended, which is heard of by itself.
    child.send(numbered, () => undefined)
    return Promise.race([answered, lost])
  }
  return {
    url: `http://127.0.0.1:${started.port}`,
    openUrl: `http://127.0.0.1:${started.openPort}`,
    s3Host: `${S3_ADDRESS}:${started.s3Port}`,
    async add(...blobs) {
      await tell({ do: 'add', blobs })
    },
    async addImage(tag, { manifest, config, layers }) {
      await tell({ do: 'add', blobs: layers })
      await tell({ do: 'tag', tag, documents: [manifest, config] })
    },
    async limit(limits) {
      await tell({ do: 'limit', limits })
    },
    sentBytes: () => tell({ do: 'count' }),
    async close() {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}
