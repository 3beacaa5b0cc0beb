import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import t from 'tap'
import { request } from 'undici'
import { readBody } from '../../src/upstream/read-body.js'

t.test('a body up to the limit is read, one byte more is not', async t => {
  const of = (...chunks: string[]): Readable => Readable.from(chunks.map(chunk => Buffer.from(chunk)))
  t.same(await readBody(of('abc', 'de'), 5), Buffer.from('abcde'))
  t.same(await readBody(of(), 0), Buffer.alloc(0))
  const long = of('abc', 'def')
  t.equal(await readBody(long, 5), undefined)
  t.equal(long.destroyed, true)
  const broken = new Readable({ read: () => void broken.destroy(new Error('broke')) })
  await t.rejects(readBody(broken, 5), { message: 'broke' })
})

t.test('an answer over a connection that is too long ends the connection, and nothing else', async t => {
  let closed = (): void => undefined
  const left = new Promise<void>(resolve => (closed = resolve))
  const server = createServer((_request, response) => {
    response.once('close', closed)
    const go = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    }
    response.on('drain', go)
    go()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const { body } = await request(
    `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`,
  )
  t.equal(await readBody(body, 100_000), undefined)
  await left
})
