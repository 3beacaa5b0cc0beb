import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { giveBack, readsInto } from '../src/read-buffers.js'

/** Both ends of a connection; the near one reads into buffers of that size. */
async function connection(t: Test, size: number): Promise<{ near: Socket; far: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const near = connect({ port, host: '127.0.0.1', onread: readsInto(size) })
  const [far] = (await once(server, 'connection')) as [Socket]
  t.teardown(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return { near, far }
}

/** What comes when the far end sends so many bytes that are all `fill`, chunk by chunk. */
async function send(
  { near, far }: { near: Socket; far: Socket },
  count: number,
  fill: number,
): Promise<Buffer[]> {
  far.write(Buffer.alloc(count, fill))
  const chunks: Buffer[] = []
  for (let got = 0; got < count;) {
    const [chunk] = (await once(near, 'data')) as [Buffer]
    chunks.push(chunk)
    got += chunk.length
  }
  return chunks
}

t.test('what is given back is read into again', async t => {
  const ends = await connection(t, 4096)
  const [first] = await send(ends, 4096, 1)
  t.ok(first)
  if (!first) return
  t.same(first, Buffer.alloc(4096, 1))
  giveBack(first)
  // The next read has its buffer already, the one after that takes what was given back.
  await send(ends, 4096, 2)
  const [third] = await send(ends, 4096, 3)
  t.equal(third?.buffer, first.buffer)
  t.same(third, Buffer.alloc(4096, 3))
})

t.test('what is not given back stays as it is', async t => {
  const ends = await connection(t, 4096)
  const kept: Buffer[] = []
  for (let fill = 0; fill < 20; fill++) kept.push(...(await send(ends, 4096, fill)))
  t.same(Buffer.concat(kept), Buffer.concat([...Array(20).keys()].map(fill => Buffer.alloc(4096, fill))))
})

t.test(
  'a part of what was read is not taken back, nor anything twice, nor what came from elsewhere',
  async t => {
    const ends = await connection(t, 2048)
    const [part] = await send(ends, 2048, 1)
    const [twice] = await send(ends, 2048, 2)
    if (!part || !twice) throw new Error('Nothing came.')
    giveBack(part.subarray(0, 1000))
    giveBack(part.subarray(1000))
    giveBack(twice)
    giveBack(twice)
    giveBack(Buffer.alloc(2048))
    const later: Buffer[] = []
    for (let fill = 3; fill < 8; fill++) later.push(...(await send(ends, 2048, fill)))
    t.same(part, Buffer.alloc(2048, 1))
    t.equal(later.filter(({ buffer }) => buffer === twice.buffer).length, 1)
    t.same(Buffer.concat(later), Buffer.concat([3, 4, 5, 6, 7].map(fill => Buffer.alloc(2048, fill))))
  },
)

t.test('a few bytes do not hold a whole buffer', async t => {
  const ends = await connection(t, 65536)
  const chunks: Buffer[] = []
  for (let fill = 0; fill < 3; fill++) chunks.push(...(await send(ends, 100, fill)))
  t.same(Buffer.concat(chunks), Buffer.concat([0, 1, 2].map(fill => Buffer.alloc(100, fill))))
  t.ok(chunks.every(({ buffer }) => buffer.byteLength < 65536))
})

t.test('a socket that nobody reads from waits, and goes on', async t => {
  const { near, far } = await connection(t, 4096)
  near.pause()
  const size = 16 * 1024 * 1024
  far.end(Buffer.alloc(size, 7))
  await new Promise(resolve => setTimeout(resolve, 50))
  t.ok(near.readableLength < 1024 * 1024)
  t.ok(far.writableLength > 0)
  let got = 0
  for await (const chunk of near as AsyncIterable<Buffer>) {
    if (!chunk.every(byte => byte === 7)) t.fail('other bytes came')
    got += chunk.length
    giveBack(chunk)
  }
  t.equal(got, size)
})
