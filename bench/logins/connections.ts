import { connect, type Socket } from 'node:net'

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Keep-alive connections to a server, as many as are needed at a time: a request is written as it is, and what comes back
 * is counted, not kept, so that who measures costs little of what is measured.
 */
export class Connections {
  readonly #port: number
  readonly #localAddress: string
  readonly #free: Connection[] = []
  readonly #all = new Set<Connection>()

  constructor(url: string, localAddress = '127.0.0.1') {
    this.#port = Number(new URL(url).port)
    this.#localAddress = localAddress
  }

  /** Sends a request and calls back with the status of its answer when that has come whole; with 0 if it never does. */
  send(request: string, done: (status: number) => void): void {
    const connection = this.#free.pop() ?? this.#open()
    connection.send(request, status => {
      if (status !== 0) this.#free.push(connection)
      done(status)
    })
  }

  #open(): Connection {
    const connection = new Connection(
      connect({ port: this.#port, host: '127.0.0.1', localAddress: this.#localAddress }),
      () => {
        this.#all.delete(connection)
        const index = this.#free.indexOf(connection)
        if (index >= 0) this.#free.splice(index, 1)
      },
    )
    this.#all.add(connection)
    return connection
  }

  close(): void {
    for (const connection of this.#all) connection.close()
  }
}

class Connection {
  readonly #socket: Socket
  #done: ((status: number) => void) | undefined
  #head: Buffer = Buffer.alloc(0)
  #status = 0
  /** Bytes of the body that have yet to come; undefined while the head has not come whole. */
  #left: number | undefined

  constructor(socket: Socket, closed: () => void) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      closed()
      this.#end(0)
    })
  }

  send(request: string, done: (status: number) => void): void {
    this.#done = done
    this.#left = undefined
    this.#head = Buffer.alloc(0)
    this.#socket.write(request, 'latin1')
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    if (this.#left === undefined) {
      this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk])
      const end = this.#head.indexOf(HEAD_END)
      if (end < 0) return
      const head = this.#head.toString('latin1', 0, end)
      this.#status = Number(head.slice(9, 12))
      this.#left = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
      this.#left -= this.#head.length - end - HEAD_END.length
    } else this.#left -= chunk.length
    if (this.#left <= 0) this.#end(this.#status)
  }

  #end(status: number): void {
    const done = this.#done
    this.#done = undefined
    done?.(status)
  }
}
