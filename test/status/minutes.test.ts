import t from 'tap'
import { KEPT, Minutes, NO_TRAFFIC } from '../../src/status/minutes.js'

const MINUTE = 60_000
const START = Date.UTC(2026, 0, 1, 12, 0, 0)

t.test('what happened counts for as long as it lies within the time that is asked about', async t => {
  let now = START
  const minutes = new Minutes(() => now)
  t.equal(minutes.since, START)
  t.same(minutes.last(60), NO_TRAFFIC)
  minutes.add({ requests: 1, hits: 1, served: 500 })
  minutes.add({ requests: 1, misses: 1, served: 100, fetched: 100 })
  now += 30_000
  minutes.add({ requests: 1, errors: 1 })
  t.same(minutes.last(1), { requests: 3, hits: 1, misses: 1, errors: 1, served: 600, fetched: 100 })
  now += 59 * MINUTE
  minutes.add({ requests: 1 })
  t.equal(minutes.last(60).requests, 4)
  now += MINUTE
  t.equal(minutes.last(60).requests, 1, 'the first minute is more than an hour ago')
  t.equal(minutes.last(KEPT).requests, 4)
  now = START + (KEPT - 1) * MINUTE
  t.equal(minutes.last(KEPT).requests, 4)
  now += MINUTE
  t.equal(minutes.last(KEPT).requests, 1, 'and now more than a day')
})

t.test('a minute of the day before does not count for the same one of today', async t => {
  let now = START
  const minutes = new Minutes(() => now)
  minutes.add({ requests: 7 })
  now += KEPT * MINUTE
  minutes.add({ requests: 1 })
  t.equal(minutes.last(KEPT).requests, 1)
  now += 3 * KEPT * MINUTE
  t.same(minutes.last(KEPT), NO_TRAFFIC, 'nor does what was long ago')
})

t.test('the day in columns has everything once, the newest last', async t => {
  let now = START
  const minutes = new Minutes(() => now)
  for (let minute = 0; minute < KEPT; minute++) {
    minutes.add({ requests: 1, served: minute })
    now += MINUTE
  }
  now -= MINUTE
  const columns = minutes.columns(48)
  t.equal(columns.length, 48)
  t.same(
    columns.map(({ requests }) => requests),
    Array(48).fill(30),
  )
  t.equal(columns[0]?.served, (29 * 30) / 2)
  t.equal(
    columns.reduce((sum, { served }) => sum + served, 0),
    minutes.last(KEPT).served,
  )
})
