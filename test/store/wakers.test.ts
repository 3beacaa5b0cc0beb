import { getEventListeners } from 'node:events'
import t from 'tap'
import { Wakers } from '../../src/store/wakers.js'
import { FakeClock } from './support/fake-clock.js'
import { never } from './support/reading.js'

t.test('all who wait are woken once, and who leaves is not', async t => {
  const wakers = new Wakers()
  const stays = new AbortController()
  const leaves = new AbortController()
  const staying = wakers.wait(stays.signal)
  const leaving = wakers.wait(leaves.signal)
  leaves.abort(new Error('gone'))
  await t.rejects(leaving, { message: 'gone' })
  t.equal(wakers.size, 1)
  wakers.wake()
  await staying
  t.equal(wakers.size, 0)
  t.equal(getEventListeners(stays.signal, 'abort').length, 0)
  wakers.wake()
})

t.test('who has left does not begin to wait', async t => {
  const wakers = new Wakers()
  await t.rejects(wakers.wait(AbortSignal.abort(new Error('gone'))), { message: 'gone' })
  t.equal(wakers.size, 0)
})

t.test('who waits again while being woken waits for the next time', async t => {
  const wakers = new Wakers()
  const { signal } = new AbortController()
  let woken = 0
  const waiting = (async () => {
    for (;;) {
      await wakers.wait(signal)
      woken++
      if (woken === 2) return
    }
  })()
  wakers.wake()
  await Promise.resolve()
  await Promise.resolve()
  t.equal(woken, 1)
  wakers.wake()
  await waiting
  t.equal(woken, 2)
})

t.test(
  'who waits for a while is woken, or goes on when that is over, or hears why it should not',
  async t => {
    const [wakers, clock, leaving] = [new Wakers(), new FakeClock(), new AbortController()]
    const woken = wakers.waitAtMost(100, clock, never)
    wakers.wake()
    await woken
    const late = wakers.waitAtMost(100, clock, never)
    await clock.advance(100)
    await late
    const left = wakers.waitAtMost(100, clock, leaving.signal)
    leaving.abort(new Error('gone'))
    await t.rejects(left, { message: 'gone' })
    t.equal(wakers.size, 0)
    t.equal(clock.pending, 0)
  },
)
