import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A raw connection to a mirror, with what came back on it so far. */
export class Connection {
  received = ''
  readonly socket: Socket
  /** All that came, once it is closed. */
  readonly closed: Promise<string>

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.socket = connect(Number(port), hostname)
    this.socket.on('data', chunk => (this.received += chunk.toString('latin1')))
    this.socket.on('error', () => undefined)
    this.closed = new Promise(resolve => this.socket.once('close', () => resolve(this.received)))
  }

  /** Resolves as soon as that text has come; rejects when the connection closes without it. */
  async seen(text: string): Promise<void> {
    const gone = this.closed.then(() => 'closed')
    while (!this.received.includes(text)) {
      const next = await Promise.race([once(this.socket, 'data'), gone])
      if (next === 'closed' && !this.received.includes(text))
        throw new Error(`closed after ${JSON.stringify(this.received.slice(0, 500))}`)
    }
  }
}
