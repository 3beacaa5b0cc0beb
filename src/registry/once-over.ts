import { setMaxListeners } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Who is to be called, of each answer that is not over. */
const waiting = new WeakMap<ServerResponse, (() => void)[]>()

/**
 * Answers whose end is dealt with in one turn of the event loop: thousands end at once where a machine that had many
 * connections is switched off, and each takes a log line and more.
 */
const PER_TURN = 16

let dealtWith = 0
/** Those that are over, and whose turn has not come. */
const later: (() => void)[][] = []

/**
 * Calls back once, when an answer was written to its end or never will be; later by some turns when many end at once. A pipelined answer that still waits behind
 * another has no connection of its own yet and does not hear that it closed, so the request's is listened to as well.
 */
export function onceOver({ socket }: IncomingMessage, response: ServerResponse, done: () => void): void {
  const others = waiting.get(response)
  if (others) {
    others.push(done)
    return
  }
  const all = [done]
  waiting.set(response, all)
  const over = (): void => {
    response.off('close', over)
    socket.off('close', over)
    // A response hears of its socket's close from the socket, which then calls both, taken off or not.
    if (waiting.get(response) !== all) return
    waiting.delete(response)
    later.push(all)
    if (dealtWith < PER_TURN) dealWithNext()
  }
  // As many as there are requests in the pipeline.
  setMaxListeners(0, socket)
  response.once('close', over)
  socket.once('close', over)
}

function dealWithNext(): void {
  if (dealtWith === 0) setImmediate(nextTurn)
  dealtWith++
  for (const each of later.shift() ?? []) each()
}

function nextTurn(): void {
  dealtWith = 0
  while (dealtWith < PER_TURN && later.length > 0) dealWithNext()
}
