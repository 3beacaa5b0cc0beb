import assert from 'node:assert/strict'
import type { Agent, OutgoingHttpHeaders } from 'node:http'
import { ask, type PlainAnswer } from '../../support/requests.js'

/** A request whose target goes over the wire as it is written. Throws where the answer breaks off. */
export async function askExactly(
  origin: string,
  target: string,
  options: {
    readonly method?: string
    readonly headers?: OutgoingHttpHeaders
    readonly body?: Buffer
    readonly agent: Agent
  },
): Promise<PlainAnswer> {
  const answer = await ask(origin, { ...options, target })
  assert.ok(answer.complete, `the answer to ${target} breaks off`)
  return answer
}
