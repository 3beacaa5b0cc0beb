import { getEventListeners } from 'node:events'
import t from 'tap'
import { pause, systemClock, watchSilence } from '../../src/store/clock.js'
import { FakeClock } from './support/fake-clock.js'

t.test('a pause ends in time or with its signal, and leaves nothing', async t => {
  const clock = new FakeClock()
  const leaver = new AbortController()
  const over = pause(clock, 100, leaver.signal)
  await clock.advance(100)
  await over
  t.equal(getEventListeners(leaver.signal, 'abort').length, 0)
  const left = pause(clock, 100, leaver.signal)
  leaver.abort(new Error('gone'))
  await t.rejects(left, { message: 'gone' })
  await t.rejects(pause(clock, 100, leaver.signal), { message: 'gone' })
  t.equal(clock.pending, 0)
})

t.test('silence is noticed once, and not while something is heard', async t => {
  const clock = new FakeClock()
  let silences = 0
  const watch = watchSilence(clock, 100, () => silences++)
  await clock.advance(60)
  watch.heard()
  await clock.advance(60)
  t.equal(silences, 0)
  await clock.advance(60)
  t.equal(silences, 1)
  await clock.advance(1000)
  t.equal(silences, 1)
  const ended = watchSilence(clock, 100, () => silences++)
  ended.end()
  t.equal(clock.pending, 0)
})

t.test('the system’s clock', async t => {
  const before = systemClock.now()
  const cancel = systemClock.after(0, () => t.fail('cancelled'))
  cancel()
  await new Promise<void>(resolve => systemClock.after(1, resolve))
  t.ok(systemClock.now() > before)
})
