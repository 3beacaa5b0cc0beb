import { once } from 'node:events'
import { connect as connectPlain, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Address {
  readonly hostname: string
  readonly port: number
  /** The authority, in PEM, that its certificate comes from; left out: plain HTTP. */
  readonly ca?: string | undefined
}

export interface Answer {
  readonly status: number
  header(name: string): string | undefined
  /** Of the body. */
  readonly bytes: number
}

interface Waiting {
  readonly onBytes: ((bytes: Buffer) => void) | undefined
  resolve(answer: Answer): void
  reject(error: Error): void
}

/** Every socket reads into the same memory, as each is done with it before the next one reads. */
const RECEIVED = Buffer.allocUnsafeSlow(256 * 1024)
const END_OF_HEAD = '\r\n\r\n'
/** Longer than any server keeps a client waiting that it still wants to serve. */
const SILENT_MS = 120_000

export function connectTo({ hostname: host, port, ca }: Address): Promise<Connection> {
  const connection = new Connection()
  const onread = {
    buffer: RECEIVED,
    callback: (count: number) => connection.take(RECEIVED.subarray(0, count)),
  }
  const options: TcpSocketConnectOpts = { host, port, onread }
  // What tls.connect() does not know of its options it hands to net.connect(), where onread is documented.
  const socket = ca === undefined ? connectPlain(options) : connectTls({ ...options, ca })
  return connection.opened(socket, ca === undefined ? 'connect' : 'secureConnect')
}

/**
 * A connection of HTTP/1.1 that costs little, so that the machine's time goes to the server at its other end: answers are
 * counted, not kept. It knows answers with a Content-Length only.
 */
export class Connection {
  #socket!: Socket
  #waiting: Waiting | undefined
  /** The beginning of a head whose end has not come. */
  #begun = Buffer.alloc(0)
  #head: Answer | undefined
  #left = 0

  async opened(socket: Socket, event: string): Promise<this> {
    this.#socket = socket
    await once(socket, event)
    socket.setNoDelay(true)
    socket.on('error', error => this.#fail(error))
    socket.setTimeout(SILENT_MS, () => socket.destroy(new Error('The server says nothing any more')))
    socket.once('close', () => this.#fail(new Error('The server closed the connection')))
    return this
  }

  /** Sends a request and resolves when its whole answer has come. Rejects a status of 400 or above. */
  async ask(head: string, body: Iterable<Buffer> = [], onBytes?: (bytes: Buffer) => void): Promise<Answer> {
    const answered = new Promise<Answer>((resolve, reject) => {
      this.#waiting = { onBytes, resolve, reject }
    })
    // It may come, or the connection break, while the body is being sent.
    answered.catch(() => undefined)
    this.#socket.write(head, 'latin1')
    for (const piece of body) {
      if (!this.#socket.write(piece)) await Promise.race([once(this.#socket, 'drain'), answered])
    }
    return answered
  }

  close(): void {
    this.#waiting = undefined
    this.#socket.destroy()
  }

  /** What the socket has read. True: it is to go on. */
  take(chunk: Buffer): boolean {
    try {
      for (let rest = chunk; rest.length > 0;) rest = this.#head ? this.#takeBody(rest) : this.#takeHead(rest)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
      this.#socket.destroy()
    }
    return true
  }

  #takeHead(chunk: Buffer): Buffer {
    const all = this.#begun.length > 0 ? Buffer.concat([this.#begun, chunk]) : chunk
    const end = all.indexOf(END_OF_HEAD)
    if (end < 0) {
      this.#begun = Buffer.from(all)
      return all.subarray(all.length)
    }
    this.#begun = this.#begun.subarray(0, 0)
    const text = all.toString('latin1', 0, end)
    const header = (name: string): string | undefined =>
      new RegExp(`^${name}: *([^\\r]*)`, 'im').exec(text)?.[1]
    const status = Number(text.slice(9, 12))
    if (status >= 400) throw new Error(`The server answered:\n${all.toString('latin1', 0, end + 500)}`)
    this.#left = Number(header('content-length'))
    if (!(this.#left >= 0)) throw new Error(`The server answered without a length:\n${text}`)
    this.#head = { status, header, bytes: this.#left }
    if (this.#left === 0) this.#finish()
    return all.subarray(end + END_OF_HEAD.length)
  }

  #takeBody(chunk: Buffer): Buffer {
    const body = chunk.length > this.#left ? chunk.subarray(0, this.#left) : chunk
    this.#waiting?.onBytes?.(body)
    this.#left -= body.length
    if (this.#left === 0) this.#finish()
    return chunk.subarray(body.length)
  }

  #finish(): void {
    const [waiting, head] = [this.#waiting, this.#head]
    this.#waiting = undefined
    this.#head = undefined
    if (waiting && head) waiting.resolve(head)
    else throw new Error('The server answered unasked')
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error)
    this.#waiting = undefined
  }
}
