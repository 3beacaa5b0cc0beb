import { PassThrough } from 'node:stream'
import t from 'tap'
import { Budget } from '../../src/budget.js'
import { ManifestMemory } from '../../src/registry/manifest-memory.js'

const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('bytes count while they come in, and afterwards only for who holds them', async t => {
  const budget = new Budget(1000)
  const memory = new ManifestMemory(budget)
  const body = new PassThrough()
  const collected = memory.collect(body, 500)
  body.write(Buffer.alloc(300))
  await nextTurn()
  t.equal(budget.inUse, 300)
  body.end(Buffer.alloc(100))
  const bytes = await collected
  t.equal(bytes?.length, 400)
  t.equal(budget.inUse, 0)

  const [one, two] = [memory.hold(bytes!), memory.hold(bytes!)]
  t.equal(budget.inUse, 400, 'the same bytes count once')
  one()
  t.equal(budget.inUse, 400)
  two()
  t.equal(budget.inUse, 0)
})

t.test('a body larger than it may be, or than there is room for, is read no further', async t => {
  const budget = new Budget(1000)
  const memory = new ManifestMemory(budget)
  const large = new PassThrough()
  const collected = memory.collect(large, 500)
  large.write(Buffer.alloc(600))
  t.equal(await collected, undefined)
  t.ok(large.isPaused())

  const giveBack = memory.hold(Buffer.alloc(700))
  const refused = new PassThrough()
  const none = memory.collect(refused, 500)
  refused.write(Buffer.alloc(201))
  await t.rejects(none, { code: 'TOOMANYREQUESTS', status: 503, retryAfter: 1 })
  t.ok(refused.isPaused())
  t.doesNotThrow(memory.hold(Buffer.alloc(300)), 'what is on its way in leaves a tenth for what is stored')
  t.throws(() => memory.hold(Buffer.alloc(301)), { code: 'TOOMANYREQUESTS' })
  giveBack()
  t.same([budget.inUse, budget.refusals], [0, 2])
})

t.test('a body that breaks off holds nothing', async t => {
  const budget = new Budget(1000)
  const memory = new ManifestMemory(budget)
  for (const error of [undefined, new Error('reset')]) {
    const body = new PassThrough()
    const collected = memory.collect(body, 500)
    body.write(Buffer.alloc(100))
    await nextTurn()
    body.destroy(error)
    await t.rejects(collected, error ?? { message: 'The body broke off.' })
    t.equal(budget.inUse, 0)
  }
})
