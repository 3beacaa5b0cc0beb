import t from 'tap'
import { errorBody, OciError, type OciErrorCode } from '../../src/oci/error.js'

t.test('each code has the status that the spec or custom gives it', t => {
  const expected: Readonly<Record<OciErrorCode, number>> = {
    BLOB_UNKNOWN: 404,
    BLOB_UPLOAD_INVALID: 400,
    BLOB_UPLOAD_UNKNOWN: 404,
    DENIED: 403,
    DIGEST_INVALID: 400,
    MANIFEST_BLOB_UNKNOWN: 404,
    MANIFEST_INVALID: 400,
    MANIFEST_UNKNOWN: 404,
    NAME_INVALID: 400,
    NAME_UNKNOWN: 404,
    SIZE_INVALID: 400,
    TAG_INVALID: 400,
    TOOMANYREQUESTS: 429,
    UNAUTHORIZED: 401,
    UNSUPPORTED: 405,
    UNKNOWN: 500,
  }
  for (const [code, status] of Object.entries(expected))
    t.equal(new OciError(code as OciErrorCode, '').status, status, code)
  t.end()
})

t.test('a refusal has a message, a body of the spec, and what goes with it', t => {
  const cause = new Error('the far side')
  const error = new OciError('UNKNOWN', 'Try "later".', {
    status: 503,
    retryAfter: 5,
    headers: { allow: 'GET' },
    cause,
  })
  t.ok(error instanceof Error)
  t.equal(error.name, 'OciError')
  t.equal(error.status, 503)
  t.equal(error.retryAfter, 5)
  t.same(error.headers, { allow: 'GET' })
  t.equal(error.cause, cause)
  t.same(JSON.parse(error.toBody()), { errors: [{ code: 'UNKNOWN', message: 'Try "later".' }] })
  t.notMatch(error.toBody(), /far side/, 'the cause stays inside')
  t.end()
})

t.test('a refusal without options has none of it', t => {
  const error = new OciError('DENIED', 'No.')
  t.equal(error.retryAfter, undefined)
  t.same(error.headers, {})
  t.equal(error.toBody(), errorBody('DENIED', 'No.'))
  t.end()
})

t.test('a body that is given is sent as it is', t => {
  const body = '{"errors":[{"code":"NAME_UNKNOWN","message":"theirs"}]}'
  t.equal(new OciError('NAME_UNKNOWN', 'ours', { body }).toBody(), body)
  t.end()
})

t.test('a body stays JSON whatever the message', t => {
  const message = 'quote " backslash \\ line\n NUL \0 \u2028 </script>'
  t.same(JSON.parse(errorBody('UNKNOWN', message)), { errors: [{ code: 'UNKNOWN', message }] })
  t.end()
})
