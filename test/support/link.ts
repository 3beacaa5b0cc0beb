import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A way to a server that can be cut: connections then end, and new ones are refused. */
export interface Link {
  /** Where to connect instead of to the server. */
  readonly url: string
  cut(): Promise<void>
  mend(): Promise<void>
}

/** `onSent` is given what goes to the server. */
export async function startLink(t: Test, target: string, onSent?: (chunk: Buffer) => void): Promise<Link> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let server: Server | undefined
  let ownPort = 0

  async function mend(): Promise<void> {
    if (server) return
    const opened = createServer(near => {
      const far = connect(Number(port), hostname)
      if (onSent) near.on('data', onSent)
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket)
        socket.on('error', () => other.destroy())
        socket.once('close', () => {
          sockets.delete(socket)
          other.destroy()
        })
        socket.pipe(other)
      }
    })
    await new Promise<void>((resolve, reject) => {
      opened.once('error', reject)
      opened.listen(ownPort, '127.0.0.1', resolve)
    })
    server = opened
    ownPort = (opened.address() as AddressInfo).port
  }

  async function cut(): Promise<void> {
    const closing = server
    server = undefined
    for (const socket of sockets) socket.destroy()
    if (closing) await new Promise(resolve => closing.close(resolve))
  }

  await mend()
  t.teardown(cut)
  return { url: `http://127.0.0.1:${ownPort}`, cut, mend }
}
