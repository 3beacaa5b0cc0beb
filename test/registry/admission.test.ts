import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Budget } from '../../src/budget.js'
import { admission, shareOf } from '../../src/registry/admission.js'
import { errors } from '../../src/registry/errors.js'
import { createRequestBudgets, type RequestBudgets } from '../../src/registry/request-share.js'

interface Stand {
  readonly app: FastifyInstance
  readonly budgets: RequestBudgets
  /** Answers the requests that wait, in the order in which they came. */
  readonly waiting: (() => void)[]
  readonly until: (waiting: number) => Promise<void>
  readonly open: () => Promise<string>
}

function stand(t: Test, maxRequests: number): Stand {
  const budgets = createRequestBudgets({
    maxRequests,
    manifestMemory: new Budget(1000),
    maxManifest: 100,
    maxManifestDepth: 5,
  })
  const app = Fastify()
  errors(app)
  admission(app, budgets)
  app.addHook('onRequest', async request => {
    shareOf(request).admit({ network: '127.0.0.1', user: String(request.headers['x-user']) })
  })
  const waiting: (() => void)[] = []
  app.get('/', (_request, reply) => void waiting.push(() => void reply.send('ok')))
  app.get('/miss', async (request, reply) => {
    shareOf(request).askUpstream()
    await new Promise<void>(resolve => waiting.push(resolve))
    return reply.send('ok')
  })
  t.teardown(() => app.close())
  return {
    app,
    budgets,
    waiting,
    until: async count => {
      while (waiting.length < count) await new Promise(resolve => setImmediate(resolve))
    },
    open: () => app.listen({ port: 0, host: '127.0.0.1' }),
  }
}

t.test('as many at a time as there may be; a place is free as soon as an answer is over', async t => {
  const { budgets, waiting, until, open } = stand(t, 2)
  const url = await open()

  const leaving = new AbortController()
  const first = fetch(url)
  const second = fetch(url, { signal: leaving.signal }).catch(() => 'left')
  await until(2)
  for (let again = 0; again < 3; again++) {
    const refused = await fetch(url)
    t.equal(refused.status, 503, 'being refused takes no place for good')
    t.equal(refused.headers.get('retry-after'), '1')
  }
  t.equal(budgets.requests.refusals, 3)
  waiting.shift()?.()
  t.equal((await first).status, 200)
  const third = fetch(url)
  await until(2)
  t.equal((await fetch(url)).status, 503)
  leaving.abort()
  t.equal(await second, 'left')
  while (budgets.requests.inUse > 1) await new Promise(resolve => setImmediate(resolve))
  const fourth = fetch(url)
  await until(3)
  t.equal((await fetch(url)).status, 503, 'who left gave back one place, not two')
  for (const answer of waiting) answer()
  for (const answer of [await third, await fourth]) t.equal(answer.status, 200)
})

t.test('what needs the upstream is turned away first, and what began with it goes on', async t => {
  const { budgets, waiting, until, open } = stand(t, 10)
  const url = await open()
  const held = Array.from({ length: 9 }, (_, user) =>
    fetch(`${url}/miss`, { headers: { 'x-user': `${user}` } }),
  )
  await until(9)
  t.equal(budgets.misses.inUse, 9)
  const refused = await fetch(`${url}/miss`)
  t.equal(refused.status, 503)
  t.equal(refused.headers.get('retry-after'), '1')
  t.match(await refused.json(), { errors: [{ code: 'TOOMANYREQUESTS' }] })
  t.match(budgets, { misses: { refusals: 1 }, requests: { refusals: 0 } })

  const hit = fetch(url)
  await until(10)
  t.equal((await fetch(url)).status, 503, 'now there are as many as there may be of any kind')
  for (const answer of waiting.splice(0)) answer()
  for (const answer of await Promise.all([...held, hit])) t.equal(answer.status, 200)
  while (budgets.requests.inUse > 0) await new Promise(resolve => setImmediate(resolve))
  t.equal(budgets.misses.inUse, 0, 'all is given back')
  const again = fetch(`${url}/miss`)
  await until(1)
  waiting[0]?.()
  t.equal((await again).status, 200)
})
