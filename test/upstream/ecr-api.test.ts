import type { RequestListener } from 'node:http'
import t from 'tap'
import { createEcrApi, type EcrApi } from '../../src/upstream/ecr-api.js'
import { problemOf } from '../../src/upstream/token-problem.js'
import { serve } from './support/server.js'
import { Secret } from '../../src/secret.js'

process.env.AWS_ACCESS_KEY_ID = 'AKIDTEST'
process.env.AWS_SECRET_ACCESS_KEY = 'secret'
process.env.AWS_EC2_METADATA_DISABLED = 'true'
for (const name of ['AWS_PROFILE', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_ECR'])
  Reflect.deleteProperty(process.env, name)

const plain = { region: 'us-east-1', fips: false, dualStack: false }

interface Options {
  deadline?: number
  ecr?: { region: string; fips: boolean; dualStack: boolean }
}

const reply =
  (status: number, body: unknown): RequestListener =>
  (_incoming, response) =>
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body))

async function problem(api: EcrApi): Promise<string> {
  return api.issueToken().then(() => 'none', problemOf)
}

async function apiFor(t: Test, listener: RequestListener, { deadline, ecr = plain }: Options = {}) {
  const server = await serve(t, listener)
  const api = createEcrApi({
    ecr,
    credentials: {},
    apiEndpoint: server.origin,
    ...(deadline !== undefined && { deadline }),
  })
  t.teardown(() => api.close())
  return { api, server }
}
type Test = Parameters<typeof serve>[0]

t.test('a token comes with the time of its end', async t => {
  const token = 'x'.repeat(16 * 1024)
  const { api, server } = await apiFor(
    t,
    reply(200, {
      authorizationData: [
        { authorizationToken: token, expiresAt: 1_700_000_000.5, proxyEndpoint: 'https://x' },
      ],
    }),
  )
  const { authorization, expiresAt } = await api.issueToken()
  t.equal(authorization.reveal(), `Basic ${token}`)
  t.same(expiresAt, new Date(1_700_000_000_500))
  t.equal(
    server.requests[0]?.headers['x-amz-target'],
    'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken',
  )
  t.match(server.requests[0]?.headers.authorization, /us-east-1\/ecr\/aws4_request/)
})

t.test('FIPS and dual-stack do not get in the way of an endpoint', async t => {
  const { api } = await apiFor(t, reply(200, { authorizationData: [{ authorizationToken: 'x' }] }), {
    ecr: { region: 'us-east-1', fips: true, dualStack: true },
  })
  t.equal((await api.issueToken()).authorization.reveal(), 'Basic x')
})

for (const [title, body] of Object.entries({
  'no data': {},
  'no token': { authorizationData: [{}] },
  'an empty list': { authorizationData: [] },
  'a token that is no base64': { authorizationData: [{ authorizationToken: 'a\r\nb' }] },
  'an endless token': { authorizationData: [{ authorizationToken: 'x'.repeat(200_000) }] },
})) {
  t.test(`an answer with ${title} is malformed`, async t => {
    t.equal(await problem((await apiFor(t, reply(200, body))).api), 'malformed')
  })
}

for (const [type, status, expected, calls] of [
  ['AccessDeniedException', 400, 'denied', 1],
  ['UnrecognizedClientException', 400, 'refused', 1],
  ['ExpiredTokenException', 400, 'refused', 1],
  ['InvalidSignatureException', 403, 'refused', 1],
  ['ServerException', 500, 'failed', 3],
  ['ThrottlingException', 400, 'throttled', 3],
] as const) {
  t.test(`${type} is "${expected}"`, async t => {
    const { api, server } = await apiFor(
      t,
      reply(status, { __type: type, message: 'User: arn:aws:iam::1:x' }),
    )
    t.equal(await problem(api), expected)
    t.equal(server.requests.length, calls)
  })
}

t.test('an API that never answers is a timeout', async t => {
  const { api } = await apiFor(t, () => undefined, { deadline: 100 })
  t.equal(await problem(api), 'timeout')
})

t.test('an API that is not there is unreachable', async t => {
  const api = createEcrApi({ ecr: plain, credentials: {}, apiEndpoint: 'http://127.0.0.1:1' })
  t.teardown(() => api.close())
  t.equal(await problem(api), 'unreachable')
})

t.test('a profile that is not there means no credentials', async t => {
  process.env.AWS_CONFIG_FILE = '/dev/null'
  process.env.AWS_SHARED_CREDENTIALS_FILE = '/dev/null'
  const api = createEcrApi({
    ecr: plain,
    credentials: { profile: 'nobody' },
    apiEndpoint: 'http://127.0.0.1:1',
  })
  t.teardown(() => api.close())
  t.equal(await problem(api), 'no-credentials')
})

t.test('a role is assumed, with its external id and session name', async t => {
  const bodies: string[] = []
  const sts = await serve(t, (incoming, response) => {
    incoming.on('data', (chunk: Buffer) => bodies.push(chunk.toString()))
    incoming.on('end', () => {
      response.setHeader('content-type', 'text/xml').end(
        `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
        <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
      )
    })
  })
  process.env.AWS_ENDPOINT_URL_STS = sts.origin
  t.teardown(() => Reflect.deleteProperty(process.env, 'AWS_ENDPOINT_URL_STS'))
  const server = await serve(t, reply(200, { authorizationData: [{ authorizationToken: 'x' }] }))
  const roleArn = 'arn:aws:iam::123456789012:role/pull'
  const api = createEcrApi({
    ecr: plain,
    credentials: { roleArn, externalId: new Secret('ext'), sessionName: 'me' },
    apiEndpoint: server.origin,
  })
  t.teardown(() => api.close())
  await api.issueToken()
  const asked = new URLSearchParams(bodies.join(''))
  t.same(
    [asked.get('RoleArn'), asked.get('ExternalId'), asked.get('RoleSessionName')],
    [roleArn, 'ext', 'me'],
  )
  t.match(server.requests[0]?.headers.authorization, /Credential=ASIAROLE/)
})
