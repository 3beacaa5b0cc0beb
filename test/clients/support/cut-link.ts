import { connect, createServer, type AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A way to a server on which connections can be cut in the middle of an answer. */
export interface CutLink {
  /** Where to connect instead of to the server; of no use where it listens on a path. */
  readonly url: string
  /** Connections that were cut so far. */
  readonly cuts: number
  /** Ends the next connection that has brought so many bytes of answers from now on, and no other. */
  cutAfter(bytes: number): void
}

/** Opens a way to `target`, on a port of the loopback or on a path. */
export async function startCutLink(t: Test, target: string, path?: string): Promise<CutLink> {
  const { hostname, port, protocol } = new URL(target)
  let limit = Infinity
  let cuts = 0
  const server = createServer(near => {
    const far = connect(Number(port), hostname)
    let passed = 0
    const armed = (): boolean => limit !== Infinity
    far.on('data', (chunk: Buffer) => {
      if (!armed()) return
      passed += chunk.length
      if (passed < limit) return
      limit = Infinity
      cuts++
      near.destroy()
    })
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.on('error', () => other.destroy())
      socket.once('close', () => other.destroy())
      socket.pipe(other)
    }
    t.teardown(() => void near.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if (path === undefined) server.listen(0, '127.0.0.1', resolve)
    else server.listen(path, resolve)
  })
  t.teardown(() => void server.close())
  const address = server.address() as AddressInfo | string
  return {
    url: typeof address === 'string' ? target : `${protocol}//127.0.0.1:${address.port}`,
    get cuts() {
      return cuts
    },
    cutAfter: bytes => {
      limit = bytes
    },
  }
}
