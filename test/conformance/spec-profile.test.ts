import t from 'tap'
import { startEcr } from '../ecr/ecr.js'
import { failing, runCases } from './case.js'
import { CASES } from './cases.js'
import { lost, report, runMirrored } from './mirrored.js'

/** What the stand-in itself does not care for. */
const NOT_IN_THE_STAND_IN = [
  'errors: a name that is too long is 400 or 404',
  'errors: a name with capitals is 400 or 404',
  'range: bytes=500-0 is 416',
]

t.test('what a registry of the specification passes, it passes behind the mirror', async t => {
  const ecr = await startEcr({ profile: 'spec' })
  t.teardown(() => ecr.close())
  const authorization = `Basic ${ecr.token().authorizationToken}`
  const straight = await runCases(CASES, { url: ecr.url, authorization })
  const mirrored = await runMirrored(t, ecr)
  report(t, 'straight', straight)
  report(t, 'mirrored', mirrored)
  t.strictSame(failing(straight), NOT_IN_THE_STAND_IN)
  t.strictSame(lost(straight, mirrored), [], 'the mirror loses none')
})
