import t from 'tap'
import { withinTime } from '../../src/registry/deadline.js'

const late = (): Error => new Error('late')

t.test('work that ends in time gives its result, and its signal then follows the client alone', async t => {
  const client = new AbortController()
  const signal = await withinTime(20, client.signal, late, async signal => signal)
  await new Promise(resolve => setTimeout(resolve, 60))
  t.equal(signal.aborted, false, 'what streams on is not cut by the limit')
  client.abort(new Error('gone'))
  t.match(signal.reason, { message: 'gone' })
})

t.test('work that takes longer is told so', async t => {
  const work = (signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    )
  await t.rejects(withinTime(10, new AbortController().signal, late, work), { message: 'late' })
  const client = new AbortController()
  const left = withinTime(60_000, client.signal, late, work)
  client.abort(new Error('gone'))
  await t.rejects(left, { message: 'gone' })
  await t.rejects(
    withinTime(60_000, new AbortController().signal, late, () => Promise.reject(new Error('failed'))),
    { message: 'failed' },
  )
})
