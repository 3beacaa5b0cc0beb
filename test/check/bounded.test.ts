import t from 'tap'
import { bounded } from '../../src/check/bounded.js'
import type { Finding } from '../../src/check/finding.js'
import { OutOfTime } from '../../src/check/out-of-time.js'

const itself = (finding: Finding): Finding => finding

t.test('a check that heeds its signal says itself what went wrong', async t => {
  const finding = await bounded(
    'x',
    signal =>
      new Promise<Finding>(resolve => {
        signal.addEventListener('abort', () => {
          const late = signal.reason instanceof OutOfTime
          resolve({ name: 'x', result: 'failed', detail: late ? 'was late' : 'was cut', advice: 'wait' })
        })
      }),
    itself,
    1050,
  )
  t.equal(finding.detail, 'was late')
})

t.test('one that does not ends all the same', async t => {
  const finding = await bounded('x', () => new Promise<Finding>(() => undefined), itself, 20)
  t.match(finding, { name: 'x', result: 'failed', detail: /no answer within 0\.02 s/ })
})

t.test('one that throws is a finding', async t => {
  const finding = await bounded('x', () => Promise.reject(new Error('what is this')), itself)
  t.match(finding, { name: 'x', result: 'failed', detail: 'what is this', advice: /report/ })
})
