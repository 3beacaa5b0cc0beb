import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import { Agent } from 'undici'
import { countBodies } from '../../src/upstream/body-bytes.js'
import { createDispatcher } from '../../src/upstream/egress.js'
import { serve, text } from './support/server.js'

function counting() {
  const counts = { received: 0, sent: 0 }
  return {
    counts,
    observer: {
      received: (bytes: number) => void (counts.received += bytes),
      sent: (bytes: number) => void (counts.sent += bytes),
    },
  }
}

t.test('the bytes of bodies are counted both ways, and arrive as they were', async t => {
  const { origin } = await serve(t, (request, response) => {
    const hash = createHash('sha256')
    request.on('data', (chunk: Buffer) => hash.update(chunk))
    request.on('end', () => response.end(hash.digest('hex')))
  })
  const { counts, observer } = counting()
  const dispatcher = createDispatcher({ trustOf: () => 'listed', observer })
  t.teardown(() => dispatcher.destroy())
  const bytes = randomBytes(1_000_000)
  const right = createHash('sha256').update(bytes).digest('hex')
  const pieces = Array.from({ length: 10 }, (_, index) =>
    bytes.subarray(index * 100_000, (index + 1) * 100_000),
  )
  for (const body of [bytes, Readable.from(pieces), Readable.from(pieces, { highWaterMark: 1 })]) {
    const before = { ...counts }
    const answer = await dispatcher.request({ origin, path: '/', method: 'PUT', body })
    t.equal(await text(answer.body), right)
    t.same(
      { sent: counts.sent - before.sent, received: counts.received - before.received },
      {
        sent: bytes.length,
        received: right.length,
      },
    )
  }
})

t.test('of a body that breaks off what came is counted', async t => {
  const { origin } = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100000' })
    response.write(Buffer.alloc(30_000), () => response.destroy())
  })
  const { counts, observer } = counting()
  const agent = new Agent()
  t.teardown(() => agent.destroy())
  const answer = await agent.compose(countBodies(observer)).request({ origin, path: '/', method: 'GET' })
  await t.rejects(answer.body.arrayBuffer())
  t.equal(counts.received, 30_000)
})

t.test('of a request that never goes out nothing is counted, and it fails as without', async t => {
  const { counts, observer } = counting()
  const agent = new Agent()
  t.teardown(() => agent.destroy())
  const request = { origin: 'http://127.0.0.1:1', path: '/', method: 'PUT', body: Buffer.from('x') } as const
  await t.rejects(agent.compose(countBodies(observer)).request(request), { code: 'ECONNREFUSED' })
  t.same(counts, { received: 0, sent: 0 })
})
