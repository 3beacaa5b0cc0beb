import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ClientGone } from '../../src/registry/client-gone.js'
import { UploadBody } from '../../src/registry/upload-body.js'
import { Capture } from '../../src/store/capture.js'
import { systemClock } from '../../src/store/clock.js'
import { blobOf, fetchFrom } from '../store/support/blobs.js'
import { FakeClock } from '../store/support/fake-clock.js'
import { MemoryStore } from '../store/support/memory-store.js'

const MiB = 1024 * 1024
const { bytes, digest } = blobOf('body', 8 * MiB)

/** What came out of a body at its upstream end. */
class Upstream {
  body: UploadBody | undefined
  readonly chunks: Buffer[] = []

  get bytes(): Buffer {
    return Buffer.concat(this.chunks)
  }
}

/** A server that reads the body of one request, and answers at its end. */
async function serve(t: Test, capture: Capture): Promise<{ port: number; upstream: Upstream }> {
  const upstream = new Upstream()
  const server = createServer((incoming, response) => {
    upstream.body = new UploadBody(incoming, capture)
    upstream.body.on('data', (chunk: Buffer) => upstream.chunks.push(chunk))
    upstream.body.on('close', () => {
      // Whoever is answered early has to see the answer.
      if (incoming.complete) response.end()
      else incoming.once('end', () => response.end()).resume()
    })
  })
  t.teardown(() => server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, upstream }
}

async function send(port: number): Promise<void> {
  const asked = request({ port, host: '127.0.0.1', method: 'PUT', agent: false })
  asked.end(bytes)
  const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream]
  answer.resume()
}

t.test('a body passes whole, and is captured whole', async t => {
  const store = new MemoryStore()
  const capture = new Capture({ store, clock: systemClock, onDropped: error => t.fail(error) })
  const { port, upstream } = await serve(t, capture)
  await send(port)
  t.equal(upstream.body?.bytes, bytes.length)
  t.ok(upstream.bytes.equals(bytes))
  t.equal(await capture.finish(digest), true)
  t.ok((await fetchFrom(store, digest))?.equals(bytes))
})

t.test('a store that hangs delays a body a little, and it passes whole', async t => {
  const store = new MemoryStore()
  store.beforeWrite = () => new Promise(() => undefined)
  const drops: Error[] = []
  const capture = new Capture({ store, clock: systemClock, onDropped: error => drops.push(error) })
  const { port, upstream } = await serve(t, capture)
  const began = performance.now()
  await send(port)
  const took = performance.now() - began
  t.ok(took > 450, `it waited: ${took} ms`)
  t.match(drops, [{ code: 'ETIMEDOUT' }])
  t.equal(upstream.body?.bytes, bytes.length)
  t.ok(upstream.bytes.equals(bytes))
})

t.test('a client that leaves while its body waits for the disk is noticed when the wait is over', async t => {
  const [store, clock] = [new MemoryStore(), new FakeClock()]
  store.beforeWrite = () => new Promise(() => undefined)
  const capture = new Capture({ store, clock, onDropped: () => undefined })
  const { port, upstream } = await serve(t, capture)
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`PUT / HTTP/1.1\r\nHost: m\r\nContent-Length: ${bytes.length}\r\n\r\n`)
  socket.write(bytes.subarray(0, 3 * MiB))
  while (capture.bytes <= MiB) await pause(5)
  await pause(50)
  t.equal(upstream.bytes.length, capture.bytes, 'what was captured went on, without waiting')
  t.ok(capture.bytes < 2 * MiB, 'and the rest waits')
  socket.destroy()
  await clock.advance(600)
  while (!upstream.body?.destroyed) await pause(5)
  t.match(upstream.body.errored, ClientGone)
  t.equal(upstream.body.bytes, upstream.bytes.length)
})

t.test('an upstream that stops listening while the body waits leaves nobody waiting', async t => {
  const [store, clock] = [new MemoryStore(), new FakeClock()]
  store.beforeWrite = () => new Promise(() => undefined)
  const capture = new Capture({ store, clock, onDropped: () => undefined })
  const { port, upstream } = await serve(t, capture)
  const sending = send(port)
  while (clock.pending === 0) await pause(5)
  upstream.body?.destroy()
  await sending
  await clock.advance(600)
  t.equal(clock.pending, 0)
  t.equal(store.ingests, 0)
})
