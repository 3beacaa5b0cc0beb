import { setMaxListeners } from 'node:events'
import t from 'tap'
import type { Answer, Send } from '../../src/upstream/send.js'
import { createThrottles, DEFAULT_QUOTAS } from '../../src/upstream/throttle.js'
import { answer, failure, request, scripted } from './support/server.js'

const put = { action: 'PutImage', method: 'PUT' } as const

t.test('ECR allows ten manifests a second by default', t => {
  t.equal(DEFAULT_QUOTAS.private.PutImage, 10)
  t.equal(DEFAULT_QUOTAS.private.GetDownloadUrlForLayer, 3000)
  t.end()
})

t.test('a burst beyond the quota waits its turn, in order', async t => {
  const order: string[] = []
  const send: Send = ({ path }) => {
    order.push(path)
    return Promise.resolve(answer(201))
  }
  const step = createThrottles().of('host', { PutImage: 50 })(send)
  const paths = Array.from({ length: 70 }, (_, i) => `/v2/${i}`)
  const sent = Promise.all(paths.map(path => step(request({ ...put, path }))))
  await new Promise(resolve => setImmediate(resolve))
  t.ok(order.length < 60, 'not all at once')
  await sent
  t.same(order, paths)
})

t.test('what cannot have its turn in time is refused at once, by name and number', async t => {
  const { send, asked } = scripted(() => answer(201))
  const step = createThrottles({ now: () => 1000 }).of('host', { PutImage: 2 })(send)
  for (let i = 0; i < 2; i++) await step(request({ ...put, patience: 0 }))
  const refusal: unknown = await step(request({ ...put, patience: 400 })).catch((error: unknown) => error)
  t.match(refusal, { code: 'TOOMANYREQUESTS', status: 429, retryAfter: 1, message: /2 PutImage/ })
  t.equal(asked.length, 2)
})

t.test('actions do not stand in one queue, and those without a quota in none', async t => {
  const { send, asked } = scripted(() => answer(200))
  const step = createThrottles({ now: () => 1000 }).of('host', { PutImage: 1 })(send)
  await step(request({ ...put, patience: 0 }))
  t.match(await failure(step(request({ ...put, patience: 0 }))), { status: 429 })
  for (let i = 0; i < 50; i++) await step(request({ action: 'ListImages', patience: 0 }))
  await step(request({ action: 'BatchGetImage', patience: 0 }))
  t.equal(asked.length, 52)
})

t.test('upstreams with one host share its quota, others do not', async t => {
  const { send } = scripted(() => answer(200))
  const throttles = createThrottles({ now: () => 1000 })
  const one = throttles.of('host', { PutImage: 1 })(send)
  const two = throttles.of('host')(send)
  const other = throttles.of('other', { PutImage: 1 })(send)
  await one(request({ ...put, patience: 0 }))
  await t.rejects(two(request({ ...put, patience: 0 })), { status: 429, message: /1 PutImage/ })
  await other(request({ ...put, patience: 0 }))
  t.pass('the other host had a turn left')
})

t.test('who leaves the queue makes room', async t => {
  let now = 1000
  const { send, asked } = scripted(() => answer(200))
  const step = createThrottles({ now: () => now }).of('host', { PutImage: 20 })(send)
  for (let i = 0; i < 20; i++) await step(request(put))
  const leaver = new AbortController()
  setMaxListeners(0, leaver.signal)
  const reason = new Error('gone')
  const left = Promise.allSettled(
    Array.from({ length: 50 }, () => step(request({ ...put, signal: leaver.signal }))),
  )
  // Behind fifty the wait would be too long.
  t.match(await failure(step(request({ ...put, patience: 1000 }))), { status: 429 })
  leaver.abort(reason)
  for (const outcome of await left) t.match(outcome, { status: 'rejected', reason })
  const stays = step(request({ ...put, patience: 1000 }))
  now += 1000
  await stays
  t.equal(asked.length, 21)
  await t.rejects(step(request({ ...put, signal: AbortSignal.abort(reason) })), reason)
})

t.test('after a 429 the action rests, and no longer than the upstream says', async t => {
  let now = 1000
  const { send, asked } = scripted(answer(429, '', { 'retry-after': '2' }), (): Answer => answer(200))
  const step = createThrottles({ now: () => now }).of('host', { PutImage: 10 })(send)
  t.equal((await step(request(put))).statusCode, 429)
  t.match(await failure(step(request({ ...put, patience: 1500 }))), { status: 429, retryAfter: 3 })
  now += 2200
  t.equal((await step(request({ ...put, patience: 0 }))).statusCode, 200)
  t.equal(asked.length, 2)
})

t.test('a rest that begins while one waits ends the wait when patience does', async t => {
  const now = 1000
  const { send } = scripted(() => answer(429, '', { 'retry-after': '10' }))
  const step = createThrottles({ now: () => now }).of('host', { PutImage: 1 })(send)
  const [first, second] = await Promise.allSettled([
    step(request(put)),
    step(request({ ...put, patience: 1000 })),
  ])
  t.equal(first.status, 'fulfilled')
  t.match(second, { status: 'rejected', reason: { status: 429 } })
})

t.test('what was waited is taken off the patience', async t => {
  let now = 1000
  const { send, asked } = scripted(() => answer(200))
  const step = createThrottles({ now: () => now }).of('host', { PutImage: 1000 })(send)
  for (let i = 0; i < 1000; i++) await step(request(put))
  const waiting = step(request({ ...put, patience: 5000 }))
  now += 300
  await waiting
  t.equal(asked.at(-1)?.patience, 4700)
})
