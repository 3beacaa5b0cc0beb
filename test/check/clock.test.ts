import t from 'tap'
import { checkClock, readClock } from '../../src/check/clock.js'

t.test('the reading that differs most decides, in either direction', async t => {
  const of = (ahead: number) => ({ of: 'AWS', ahead })
  t.match(checkClock([of(0), of(29_000)]), { result: 'ok' })
  t.match(checkClock([of(31_000), of(-1_000)]), { result: 'warning', detail: /31 s ahead of that of AWS/ })
  t.match(checkClock([of(2_000), of(-299_000)]), { result: 'warning', detail: /5 min behind/ })
  t.match(checkClock([of(301_000), of(1)]), { result: 'failed', advice: /NTP/ })
  t.match(checkClock([]), { result: 'skipped' })
})

t.test('what is no date is no reading', async t => {
  const now = Date.UTC(2026, 0, 1, 12)
  t.same(readClock('AWS', 'Thu, 01 Jan 2026 11:59:50 GMT', now), { of: 'AWS', ahead: 10_000 })
  for (const date of [undefined, '', 'soon', ['Thu, 01 Jan 2026 11:59:50 GMT'], 12])
    t.equal(readClock('AWS', date, now), undefined)
})
