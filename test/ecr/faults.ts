import { setTimeout as sleep } from 'node:timers/promises'
import type { Action, Knobs, PerAction, ScriptedAnswer } from './knobs.js'
import { cut, endShort, type Exchange } from './server.js'

/**
 * Plays the faults that were ordered for an action, as they would happen below the registry's own logic.
 * True when the request has had its answer, or will never have one.
 */
export async function playFaults(exchange: Exchange, knobs: Knobs, action: Action): Promise<boolean> {
  const { request, signal } = exchange
  const nth = knobs.resetConnection[action] ?? 0
  if (nth > 0) {
    knobs.resetConnection[action] = nth - 1
    if (nth === 1) {
      cut(exchange)
      return true
    }
  }
  if (countDown(knobs.hang, action)) {
    // The body is taken in, so that a far side that leaves is noticed.
    request.resume()
    return true
  }
  const latency = knobs.latency[action] ?? 0
  if (latency > 0) await sleep(latency, undefined, { signal }).catch(() => undefined)
  if (signal.aborted) return true
  const scripted = nextAnswer(knobs.answer[action])
  if (scripted) {
    say(exchange, scripted)
    return true
  }
  if (countDown(knobs.loseAnswer, action)) loseAnswer(exchange)
  if (!countDown(knobs.serverError, action)) return false
  say(exchange, exchange.record.at === 'api' ? SERVER_EXCEPTION : SERVER_ERROR)
  return true
}

/** Has the connection cut as soon as the answer would begin, when all that was asked for is done. */
function loseAnswer(exchange: Exchange): void {
  const { response } = exchange
  response.writeHead = () => {
    cut(exchange)
    return response
  }
}

const SERVER_ERROR: ScriptedAnswer = {
  status: 500,
  headers: { 'Content-Type': 'text/plain' },
  body: 'Internal Server Error\n',
}
const SERVER_EXCEPTION: ScriptedAnswer = {
  status: 500,
  headers: { 'Content-Type': 'application/x-amz-json-1.1' },
  body: '{"__type":"ServerException","message":"The service failed."}',
}

function countDown<K extends string>(counters: Partial<Record<K, number>>, key: K): boolean {
  const left = counters[key] ?? 0
  if (left <= 0) return false
  counters[key] = left - 1
  return true
}

function nextAnswer(answers: PerAction<ScriptedAnswer[]>[Action]): ScriptedAnswer | undefined {
  const next = answers?.[0]
  if (!next) return undefined
  const left = (next.times ?? 1) - 1
  if (left <= 0) answers.shift()
  else next.times = left
  return next
}

function say(exchange: Exchange, scripted: ScriptedAnswer): void {
  const { request, response } = exchange
  const body = Buffer.from(scripted.body ?? '')
  const bodyless = scripted.status === 204 || scripted.status === 304
  response.writeHead(scripted.status, {
    ...(!bodyless && { 'Content-Length': body.length }),
    ...scripted.headers,
  })
  if (scripted.cutAfterBytes === undefined) {
    response.end(request.method === 'HEAD' ? undefined : body)
    return
  }
  response.write(body.subarray(0, scripted.cutAfterBytes))
  endShort(exchange)
}
