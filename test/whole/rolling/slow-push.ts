import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { digestOf } from '../../support/pushing.js'
import { ask } from '../../support/requests.js'
import { authorization } from '../../support/users.js'

/** What ECR wants of each part but the last, in bytes. */
const PART = 5 * 1024 * 1024

/** A push of a layer in chunks, in the middle of one of which its client sends no more until it is told to. */
export interface SlowPush {
  readonly digest: string
  /** Sends the rest of the chunk, then another one by another way, and ends the upload; the statuses of the three. */
  goOn(url: string): Promise<number[]>
}

/** Resolves when the first chunk has been taken and the next one has begun. */
export async function beginSlowPush(url: string, repository: string): Promise<SlowPush> {
  let by = url
  const bytes = randomBytes(2 * PART + 1000)
  let location = `/v2/${repository}/blobs/uploads/`
  const step = async (method: string, from: number, to: number, body: Buffer | Readable): Promise<number> => {
    const range = { 'content-range': `${from}-${to - 1}`, 'content-type': 'application/octet-stream' }
    const answer = await ask(by + location, {
      method,
      body,
      headers: { authorization, 'content-length': to - from, ...(method === 'PATCH' && range) },
    })
    location = String(answer.headers.location)
    return answer.status
  }
  await step('POST', 0, 0, Buffer.alloc(0))
  await step('PATCH', 0, PART, bytes.subarray(0, PART))
  const body = new Readable({ read: () => undefined })
  body.push(bytes.subarray(PART, PART + PART / 2))
  const second = step('PATCH', PART, 2 * PART, body)
  // Looked at when it goes on.
  second.catch(() => undefined)
  const digest = digestOf(bytes)
  return {
    digest,
    async goOn(elsewhere) {
      body.push(bytes.subarray(PART + PART / 2, 2 * PART))
      body.push(null)
      const statuses = [await second]
      by = elsewhere
      statuses.push(await step('PATCH', 2 * PART, bytes.length, bytes.subarray(2 * PART)))
      location += `${location.includes('?') ? '&' : '?'}digest=${digest}`
      return [...statuses, await step('PUT', 0, 0, Buffer.alloc(0))]
    },
  }
}
