import t from 'tap'
import { awsProblemOf } from '../../src/check/aws-problem.js'
import { sourceOf } from '../../src/check/credential-source.js'
import { failureOf } from '../../src/check/failure.js'
import { Secret } from '../../src/secret.js'

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}

t.test('what AWS says is told apart', async t => {
  const kindOf = (name: string, message = '') =>
    awsProblemOf(named(name, message), {}, 'STS', 'look at the network').kind
  t.equal(kindOf('CredentialsProviderError'), 'no-credentials')
  t.equal(kindOf('ExpiredTokenException'), 'expired')
  t.equal(kindOf('UnrecognizedClientException'), 'wrong-keys')
  t.equal(kindOf('InvalidSignatureException'), 'wrong-keys')
  t.equal(kindOf('InvalidSignatureException', 'Signature not yet current: 2026'), 'clock')
  t.equal(kindOf('AccessDenied', 'not authorized to perform: sts:AssumeRole on'), 'role')
  t.equal(kindOf('AccessDenied', 'not authorized to perform: sts:AssumeRoleWithWebIdentity'), 'role')
  t.equal(kindOf('AccessDeniedException', 'ecr:GetAuthorizationToken'), 'denied')
  t.equal(kindOf('TimeoutError'), 'unreachable')
  t.equal(kindOf('InternalFailure', 'we are sorry'), 'other')
})

t.test('the advice about an external id depends on whether one is set', async t => {
  const adviceOf = (externalId?: Secret) =>
    awsProblemOf(named('AccessDenied', 'sts:AssumeRole'), { roleArn: 'arn:x', externalId }, 'STS', '').advice
  t.match(adviceOf(), /if it asks for an external id, set/)
  t.match(adviceOf(new Secret('mine')), /check that credentials\.externalId is the one/)
  t.notMatch(adviceOf(new Secret('mine')), /mine/, 'it is a secret')
})

t.test('where credentials come from is what the SDK notes on them', async t => {
  const textOf = (...marks: string[]) =>
    sourceOf({ accessKeyId: 'x', $source: Object.fromEntries(marks.map(mark => [mark, 'x'])) }, {})
  t.match(textOf('CREDENTIALS_ENV_VARS'), { text: /environment/, bySts: false })
  t.match(textOf('CREDENTIALS_IMDS'), { text: /instance/, bySts: false })
  t.match(textOf('CREDENTIALS_HTTP'), { text: /container/, bySts: false })
  t.match(textOf('CREDENTIALS_STS_ASSUME_ROLE_WEB_ID', 'CREDENTIALS_ENV_VARS_STS_WEB_ID_TOKEN'), {
    text: /AWS_WEB_IDENTITY_TOKEN_FILE/,
    bySts: true,
  })
  t.match(sourceOf({ $source: { CREDENTIALS_PROFILE: 'n' } }, { profile: 'ops' }), {
    text: 'profile ops: keys of a profile',
    bySts: false,
  })
  t.match(sourceOf({}, { roleArn: 'arn:x', profile: 'ops' }), {
    text: 'role arn:x, by profile ops',
    bySts: true,
  })
  t.match(sourceOf(undefined, {}), { text: /source of its own/ })
})

t.test('why nothing came back is looked for behind what is said of it', async t => {
  const coded = (code: string, message = code) => Object.assign(new Error(message), { code })
  const behind = (cause: unknown) => failureOf(new Error('told a client', { cause })).kind
  t.equal(behind(coded('EAI_AGAIN')), 'dns')
  t.equal(behind(coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE')), 'certificate')
  t.equal(behind(coded('DEPTH_ZERO_SELF_SIGNED_CERT')), 'certificate')
  t.equal(behind(coded('UND_ERR_CONNECT_TIMEOUT')), 'slow')
  t.equal(behind('text'), 'other')
  const both = Object.assign(new AggregateError([coded('a', 'no way by 4'), coded('b', 'no way by 6')]), {
    code: 'ECONNREFUSED',
  })
  t.same(failureOf(both), { kind: 'refused', detail: 'no way by 4; no way by 6' })
})
