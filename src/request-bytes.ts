import type { IncomingMessage } from 'node:http'

/** Counts the bytes of the requests of one connection, to tell whether something has been read behind the last one. */
export class RequestBytes {
  #total = 0

  /**
   * Counts a request, whose head has just been read. True when all that was ever read on its connection are the requests
   * up to this one, whole. False when there was more, or less, and when it cannot be told: Node does not say how long
   * a request was on the wire, so it is taken to be written as everybody writes it; TLS and chunks have other lengths.
   */
  isLastRead(request: IncomingMessage): boolean {
    this.#total += lengthOf(request)
    return request.socket.bytesRead === this.#total
  }
}

/** In bytes, on the wire: Node reads heads as latin1. */
function lengthOf({ headers, rawHeaders, method = '', url = '', httpVersion }: IncomingMessage): number {
  if (headers['transfer-encoding'] !== undefined) return NaN
  // A name is followed by a colon and a space, and a value by the end of its line.
  const fields = rawHeaders.reduce((length, text) => length + text.length + 2, 0)
  const line = `${method} ${url} HTTP/${httpVersion}\r\n\r\n`.length
  return line + fields + Number(headers['content-length'] ?? 0)
}
