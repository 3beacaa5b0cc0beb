import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { authorization } from '../../support/users.js'

/** A download in the middle of which its client reads no further until it is told to. */
export interface SlowPull {
  /** Reads the rest; the digest of all that came. */
  goOn(): Promise<string>
}

/** Resolves when the first bytes have come. */
export async function beginSlowPull(url: string): Promise<SlowPull> {
  const [answer] = (await once(get(url, { agent: false, headers: { authorization } }), 'response')) as [
    IncomingMessage,
  ]
  if (answer.statusCode !== 200) throw new Error(`${url}: ${answer.statusCode ?? 0}`)
  const hash = createHash('sha256')
  await once(answer, 'readable')
  return {
    async goOn() {
      for await (const chunk of answer as AsyncIterable<Buffer>) hash.update(chunk)
      return `sha256:${hash.digest('hex')}`
    },
  }
}
