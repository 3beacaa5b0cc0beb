import { setMaxListeners } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Who is to be called, of each answer that is not over. */
const waiting = new WeakMap<ServerResponse, (() => void)[]>()

/**
 * Calls back once, when an answer was written to its end or never will be. A pipelined answer that still waits behind
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
    for (const each of all) each()
  }
  // As many as there are requests in the pipeline.
  setMaxListeners(0, socket)
  response.once('close', over)
  socket.once('close', over)
}
