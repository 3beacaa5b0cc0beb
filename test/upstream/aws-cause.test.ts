import t from 'tap'
import { arnsIn } from '../../src/upstream/arn.js'
import { awsCauseOf } from '../../src/upstream/aws-cause.js'
import { MalformedToken } from '../../src/upstream/token-problem.js'

const named = (name: string, message: string, more: object = {}): Error =>
  Object.assign(new Error(message), { name, ...more })

const USER = 'arn:aws:sts::123456789012:assumed-role/ecr-mirror/i-0abc'
const RESOURCE = 'arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/team/app'

t.test('of a denial the log has who was denied what', async t => {
  const said = `User: ${USER} is not authorized to perform: ecr:GetAuthorizationToken on resource: ${RESOURCE}, with an explicit deny. (${USER})`
  t.same(arnsIn(said), [USER, RESOURCE])
  t.same(
    awsCauseOf(named('AccessDeniedException', said, { $metadata: { requestId: 'abc-1', attempts: 3 } })),
    { type: 'AccessDeniedException', requestId: 'abc-1', arns: [USER, RESOURCE] },
  )
})

t.test('AWS repeats a request whose signature it does not accept, and the log does not', async t => {
  const said = `The request signature we calculated does not match.

The Canonical String for this request should have been
'POST
/

host:api.ecr.example
x-amz-security-token:CANARY`
  const cause = awsCauseOf(named('InvalidSignatureException', said))
  t.same(cause, { type: 'InvalidSignatureException' })
})

t.test('a failed system call has its code, and our own words stay', async t => {
  t.same(awsCauseOf(named('Error', 'connect ECONNREFUSED 10.0.0.1:443', { code: 'ECONNREFUSED' })), {
    type: 'Error',
    code: 'ECONNREFUSED',
  })
  const ours = new MalformedToken('no token')
  t.equal(awsCauseOf(ours), ours)
  t.same(awsCauseOf('text'), { type: 'string' })
})

t.test('neither length nor number of ARNs nor an id of another form goes on', async t => {
  const many = Array.from({ length: 100 }, (_, each) => `arn:aws:iam::123456789012:role/r${each}`).join(' ')
  t.equal(arnsIn(many).length, 8)
  t.match(arnsIn(`arn:aws:iam::123456789012:role/${'x'.repeat(10_000)}`), [/^.{400,450}$/])
  t.same(awsCauseOf(named('X'.repeat(1000), '', { $metadata: { requestId: 'a\nb' } })), {
    type: 'X'.repeat(128),
  })
})
