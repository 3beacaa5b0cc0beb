import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A way to a server on which every byte that goes there is written down. */
export interface RecordingLink {
  /** host:port to connect to instead. */
  readonly host: string
  /** All that went to the server so far, as latin1. */
  sent(): string
}

export async function startRecordingLink(t: Test, target: string): Promise<RecordingLink> {
  const { hostname, port } = new URL(target)
  const chunks: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer(near => {
    const far = connect(Number(port), hostname)
    near.on('data', chunk => chunks.push(chunk))
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.once('close', () => other.destroy())
      socket.pipe(other)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  return {
    host: `localhost:${(server.address() as AddressInfo).port}`,
    sent: () => Buffer.concat(chunks).toString('latin1'),
  }
}
