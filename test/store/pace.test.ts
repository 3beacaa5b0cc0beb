import t from 'tap'
import { Pace } from '../../src/store/pace.js'
import { EagerClock } from './support/eager-clock.js'
import { FakeClock } from './support/fake-clock.js'
import { never } from './support/reading.js'

/** What passes, as [milliseconds, bytes], when pieces of these sizes are taken, each as soon as the one before passed. */
async function passing(
  rate: number,
  sizes: (piece: number) => readonly number[],
): Promise<[number, number][]> {
  const clock = new EagerClock(Infinity)
  const pace = new Pace(rate, clock)
  const passed: [number, number][] = []
  for (const size of sizes(pace.piece)) {
    await pace.take(size, never)
    passed.push([clock.now(), size])
  }
  return passed
}

for (const rate of [1, 2, 39, 1000, 1_048_577, 20 * 1024 * 1024, 1024 ** 3]) {
  t.test(`no second has more than ${rate} bytes, and not far less`, async t => {
    const sizes = (piece: number): number[] =>
      Array.from({ length: 400 }, (_, turn) => (turn % 3 === 0 ? Math.ceil(piece / (1 + (turn % 7))) : piece))
    const passed = await passing(rate, sizes)
    let most = 0
    for (const [begin] of passed) {
      const within = passed.filter(([at]) => at >= begin && at < begin + 1000)
      most = Math.max(most, sum(within))
    }
    t.ok(most <= rate, `${most} bytes in a second`)
    const [end = 0] = passed.at(-1) ?? []
    t.ok((sum(passed) / end) * 1000 >= rate * (rate < 40 ? 0.5 : 0.95))
  })
}

function sum(passed: readonly [number, number][]): number {
  return passed.reduce((total, [, bytes]) => total + bytes, 0)
}

t.test('time in which nothing was taken is not made up for', async t => {
  const clock = new FakeClock()
  const pace = new Pace(1000, clock)
  await clock.advance(60_000)
  let passed = 0
  const take = async (): Promise<void> => {
    for (;;) {
      await pace.take(pace.piece, never)
      passed += pace.piece
    }
  }
  void take()
  await clock.advance(1000)
  t.ok(passed > 900 && passed <= 1000, `${passed} bytes in the first second`)
})

t.test('who waits can leave at once', async t => {
  const clock = new FakeClock()
  const pace = new Pace(1, clock)
  const leaver = new AbortController()
  const waiting = pace.take(1, leaver.signal)
  leaver.abort(new Error('gone'))
  await t.rejects(waiting, { message: 'gone' })
  await t.rejects(pace.take(1, leaver.signal), { message: 'gone' })
  t.equal(clock.pending, 0)
})
