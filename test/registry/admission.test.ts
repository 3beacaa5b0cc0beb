import Fastify from 'fastify'
import t from 'tap'
import { admission } from '../../src/registry/admission.js'
import { errors } from '../../src/registry/errors.js'

t.test('as many at a time as there may be; a place is free as soon as an answer is over', async t => {
  const app = Fastify()
  errors(app)
  admission(app, { maxRequests: 2 })
  const waiting: (() => void)[] = []
  app.get('/', (_request, reply) => void waiting.push(() => void reply.send('ok')))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const until = async (count: number): Promise<void> => {
    while (waiting.length < count) await new Promise(resolve => setImmediate(resolve))
  }

  const leaving = new AbortController()
  const first = fetch(url)
  const second = fetch(url, { signal: leaving.signal }).catch(() => 'left')
  await until(2)
  for (let again = 0; again < 3; again++) {
    const refused = await fetch(url)
    t.equal(refused.status, 503, 'being refused takes no place for good')
    t.equal(refused.headers.get('retry-after'), '1')
  }
  waiting.shift()?.()
  t.equal((await first).status, 200)
  const third = fetch(url)
  await until(2)
  t.equal((await fetch(url)).status, 503)
  leaving.abort()
  t.equal(await second, 'left')
  await new Promise(resolve => setTimeout(resolve, 50))
  const fourth = fetch(url)
  await until(3)
  t.equal((await fetch(url)).status, 503, 'who left gave back one place, not two')
  for (const answer of waiting) answer()
  for (const answer of [await third, await fourth]) t.equal(answer.status, 200)
})
