import { connect } from 'node:net'
import type { Reading } from './strict-reader.js'

/** An answer as it came over the wire; names in lower case. */
export interface RawAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** What came back for an attack. */
export interface Outcome {
  readonly answers: readonly RawAnswer[]
  /** All of it, as latin1 text. */
  readonly received: string
}

/** Nothing of an attack may leave a connection open and unanswered for so long, in milliseconds. */
const STUCK = 20_000

/** How long, in milliseconds, what is no request may wait for an answer before the sender gives up its side. */
const PATIENCE = 500

/**
 * Sends bytes on a connection of their own, and leaves once there is an answer to each whole request in them. Behind what
 * is no whole request, the sender's side is closed, so that nobody waits for the rest. Rejects when the mirror neither
 * answers nor closes, and when what comes back is no sequence of answers.
 */
export function sendAttack(url: string, bytes: string, reading: Reading): Promise<Outcome> {
  const { hostname, port } = new URL(url)
  const methods = reading.requests.map(({ method }) => method)
  return new Promise((resolve, reject) => {
    let received = ''
    let answers: RawAnswer[] = []
    let patience: NodeJS.Timeout | undefined
    const socket = connect({ port: Number(port), host: hostname, noDelay: true })
    const fail = (why: string): void => {
      clearTimeout(stuck)
      clearTimeout(patience)
      socket.destroy()
      reject(new Error(`${why}, after ${JSON.stringify(received.slice(0, 2000))}`))
    }
    const stuck = setTimeout(() => fail('neither answered nor closed'), STUCK)
    const finish = (): void => {
      clearTimeout(stuck)
      clearTimeout(patience)
      const [whole, rest] = answersIn(received, methods)
      // A connection may close on an answer, but what is there of it has to be one.
      if (rest !== '' && !/^HTTP\/1\.1 \d{3} /.test(rest)) fail('what is no answer came back')
      else resolve({ answers: whole, received })
    }
    const look = (): void => {
      answers = answersIn(received, methods)[0]
      if (answers.length < methods.length) return
      if (reading.rest === 'none') socket.resetAndDestroy()
      else if (reading.rest === 'partial') socket.end()
      else patience ??= setTimeout(() => socket.end(), PATIENCE)
    }
    socket.write(bytes, 'latin1')
    if (methods.length === 0) socket.once('connect', look)
    socket.on('data', chunk => {
      received += chunk.toString('latin1')
      look()
    })
    // The mirror need not read what it has refused.
    socket.on('error', () => undefined)
    socket.once('close', finish)
  })
}

/** The answers that came whole, interim ones left out, and what is left over. */
function answersIn(text: string, methods: readonly string[]): [RawAnswer[], string] {
  const answers: RawAnswer[] = []
  let at = 0
  while (at < text.length) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end < 0) break
    const [statusLine = '', ...lines] = text.slice(at, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1])
    if (Number.isNaN(status)) break
    const headers = new Map(
      lines.map(line => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
      }),
    )
    if (status >= 200) {
      // Refused before it could be read as a HEAD, one has a body, behind which the connection ends.
      const ends = headers.get('connection') === 'close' && text.length > end + 4
      const bare = status === 204 || status === 304 || (methods[answers.length] === 'HEAD' && !ends)
      const size = bare ? 0 : Number(headers.get('content-length'))
      if (!(end + 4 + size <= text.length)) break
      answers.push({ status, headers, body: text.slice(end + 4, end + 4 + size) })
      at = end + 4 + size
    } else at = end + 4
  }
  return [answers, text.slice(at)]
}
