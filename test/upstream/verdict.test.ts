import t from 'tap'
import { OciError } from '../../src/oci/error.js'
import { CredentialsRefused } from '../../src/upstream/dialect.js'
import { verdictOf } from '../../src/upstream/verdict.js'

t.test('a no is told from an answer that could not be had', async t => {
  const of = (status: number) => verdictOf(new OciError('UNKNOWN', 'x', { status }))
  t.equal(of(404), 'gone')
  for (const status of [400, 401, 403, 405, 416]) t.equal(of(status), 'refused', String(status))
  for (const status of [429, 500, 502, 503, 504]) t.equal(of(status), 'away', String(status))
  t.equal(verdictOf(new CredentialsRefused('main')), 'refused', 'though its status is 503')
  t.equal(verdictOf(new Error('x')), undefined)
})
