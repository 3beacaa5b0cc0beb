import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Test } from 'tap'

/** Words that must not pass in a direction. */
export interface Forbidden {
  readonly toServer?: readonly string[]
  readonly toClient?: readonly string[]
}

/** A connection's way to a server, watched. */
export interface Wire {
  /** Where to connect instead of to the server. */
  readonly url: string
  /** The forbidden words that passed, whoever said them. */
  readonly leaks: ReadonlySet<string>
  /** Forbids one more word on the way to the client. */
  forbidToClient(word: string): void
}

/** Passes every byte on as it is, between a client and the server at `target`, and listens for words. */
export async function startWire(t: Test, target: string, forbidden: Forbidden = {}): Promise<Wire> {
  const { hostname, port } = new URL(target)
  const leaks = new Set<string>()
  const toServer = [...(forbidden.toServer ?? [])]
  const toClient = [...(forbidden.toClient ?? [])]
  const sockets = new Set<Socket>()
  // Whoever has said all waits until the other one has too, or what is still on its way would be thrown away.
  const server = createServer({ allowHalfOpen: true }, client => {
    const far = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
    for (const socket of [client, far]) {
      socket.setNoDelay(true)
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    }
    // Either side may leave whenever it likes; pipeline() then ends the other one too.
    pipeline(client, listener(toServer, leaks), far, listener(toClient, leaks), client).catch(() => undefined)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(
    () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  )
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leaks,
    forbidToClient: word => void toClient.push(word),
  }
}

/** Hears words even where they are cut in two. */
function listener(words: readonly string[], heard: Set<string>): Transform {
  let before = Buffer.alloc(0)
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const reach = Math.max(0, ...words.map(word => Buffer.byteLength(word) - 1))
      const seam = Buffer.concat([before, chunk.subarray(0, reach)])
      for (const word of words) if (chunk.includes(word) || seam.includes(word)) heard.add(word)
      const end = chunk.length < reach ? Buffer.concat([before, chunk]) : chunk
      before = Buffer.from(end.subarray(Math.max(0, end.length - reach)))
      done(null, chunk)
    },
  })
}
