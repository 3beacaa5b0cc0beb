import { setMaxListeners } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Calls back once, when an answer was written to its end or never will be. A pipelined answer that still waits behind
 * another has no connection of its own yet and does not hear that it closed, so the request's is listened to as well.
 */
export function onceOver({ socket }: IncomingMessage, response: ServerResponse, done: () => void): void {
  let isOver = false
  const over = (): void => {
    response.off('close', over)
    socket.off('close', over)
    // A response hears of its socket's close from the socket, which then calls both, taken off or not.
    if (!isOver) done()
    isOver = true
  }
  // As many as there are requests in the pipeline, and parts that one answer passes through.
  setMaxListeners(0, socket, response)
  response.once('close', over)
  socket.once('close', over)
}
