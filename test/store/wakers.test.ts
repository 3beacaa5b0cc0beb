import { getEventListeners } from 'node:events'
import t from 'tap'
import { Wakers } from '../../src/store/wakers.js'

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
