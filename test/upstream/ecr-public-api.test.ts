import type { RequestListener } from 'node:http'
import t, { type Test } from 'tap'
import { createEcrPublicApi } from '../../src/upstream/ecr-public-api.js'
import { problemOf } from '../../src/upstream/token-problem.js'
import { serve } from './support/server.js'

process.env.AWS_ACCESS_KEY_ID = 'AKIDTEST'
process.env.AWS_SECRET_ACCESS_KEY = 'secret'
process.env.AWS_EC2_METADATA_DISABLED = 'true'

const json = (body: unknown): string => JSON.stringify(body)

/** Answers of the API (POST) and of the token endpoint (GET). */
async function apiFor(
  t: Test,
  {
    api = json({ authorizationData: { authorizationToken: 'QVdTOng=' } }),
    token = json({ token: 'bearer' }),
    status = 200,
  },
  deadline?: number,
) {
  const listener: RequestListener = (request, response) => {
    const isApi = request.method === 'POST'
    response.writeHead(isApi ? 200 : status, { 'content-type': 'application/x-amz-json-1.1' })
    response.end(isApi ? api : token)
  }
  const server = await serve(t, listener)
  const made = createEcrPublicApi({
    ecr: { kind: 'public', host: 'public.ecr.aws' },
    credentials: {},
    apiEndpoint: server.origin,
    endpoint: server.origin,
    ...(deadline !== undefined && { deadline }),
  })
  t.teardown(() => made.close())
  const problem = () => made.issueToken().then(() => 'none', problemOf)
  return { made, server, problem }
}

t.test('a bearer token is asked for by a token of the API, at the registry itself', async t => {
  const { made, server } = await apiFor(t, {})
  const { authorization, expiresAt } = await made.issueToken()
  t.equal(authorization.reveal(), 'Bearer bearer')
  const life = (expiresAt?.getTime() ?? 0) - Date.now()
  t.ok(life > 3_590_000 && life <= 3_600_000, 'an hour, where nothing is said')
  const [api, token] = server.requests
  t.equal(api?.headers['x-amz-target'], 'SpencerFrontendService.GetAuthorizationToken')
  t.match(api?.headers.authorization, /us-east-1\/ecr-public\/aws4_request/)
  t.equal(token?.url, '/token/?service=public.ecr.aws&scope=aws')
  t.match(token?.headers, { host: 'public.ecr.aws', authorization: 'Basic QVdTOng=' })
})

t.test('what the token endpoint says of its life counts', async t => {
  const { made } = await apiFor(t, { token: json({ token: 'x', expires_in: 60 }) })
  const { expiresAt } = await made.issueToken()
  const life = (expiresAt?.getTime() ?? 0) - Date.now()
  t.ok(life > 50_000 && life <= 60_000)
})

const BAD: Record<string, Parameters<typeof apiFor>[1]> = {
  'no JSON': { token: '<html>' },
  'no token': { token: json({}) },
  'a token that cannot be a header': { token: json({ token: 'a\r\nb' }) },
  'an endless answer': { token: json({ token: 'x'.repeat(300_000) }) },
  'another status': { status: 503 },
  'no token of the API': { api: json({ authorizationData: {} }) },
}
for (const [what, answers] of Object.entries(BAD)) {
  t.test(`${what} is no token`, async t => {
    const { problem } = await apiFor(t, answers)
    t.equal(await problem(), 'malformed')
  })
}

t.test('a token endpoint that says nothing is not waited for without end', async t => {
  const server = await serve(t, (request, response) => {
    if (request.method === 'POST')
      response.end(json({ authorizationData: { authorizationToken: 'QVdTOng=' } }))
  })
  const api = createEcrPublicApi({
    ecr: { kind: 'public', host: 'public.ecr.aws' },
    credentials: {},
    apiEndpoint: server.origin,
    endpoint: server.origin,
    deadline: 300,
  })
  t.teardown(() => api.close())
  t.equal(await api.issueToken().then(() => 'none', problemOf), 'timeout')
})
