import { ECRClient, CreateRepositoryCommand, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr'
import t from 'tap'
import { ask, fetchRaw } from './ask.js'
import { startEcr, type Ecr, type EcrOptions } from './ecr.js'

const TWO_REGIONS = {
  accounts: [
    { account: '111111111111', region: 'us-east-1' },
    { account: '222222222222', region: 'us-east-1' },
    { account: '111111111111', region: 'eu-west-1' },
  ],
}

t.test("AWS's own client gets a new token each time, and every one of them works", async t => {
  const { ecr, getToken } = await started(t)
  const [first, second] = [await getToken(), await getToken()]
  t.not(first.authorizationToken, second.authorizationToken)
  t.equal(first.proxyEndpoint, `https://${ecr.host}`)
  t.ok(first.expiresAt instanceof Date && first.expiresAt.getTime() > Date.now())
  for (const { authorizationToken = '' } of [first, second]) {
    t.match(Buffer.from(authorizationToken, 'base64').toString(), /^AWS:/)
    t.equal((await ask(ecr, '/v2/', { authorization: `Basic ${authorizationToken}` })).status, 200)
  }
  t.equal(ecr.count({ at: 'api', target: 'GetAuthorizationToken' }), 2)
  t.equal(ecr.count({ at: 'registry', accessKeyId: 'AKIDTEST', status: 200 }), 2)
  t.match(ecr.requests[0], {
    account: '123456789012',
    region: 'us-east-1',
    accessKeyId: 'AKIDTEST',
    status: 200,
  })
})

t.test('the answer is AWS JSON 1.1 with expiresAt in seconds and their fraction', async t => {
  const { ecr } = await started(t, { knobs: { tokenTtl: 60 } })
  const answer = await callApi(ecr)
  t.equal(answer.headers['content-type'], 'application/x-amz-json-1.1')
  const { authorizationData } = answer.json() as { authorizationData: { expiresAt: number }[] }
  const [data] = authorizationData
  t.ok(data && data.expiresAt > Date.now() / 1000 && data.expiresAt <= Date.now() / 1000 + 60)
  ecr.knobs.expiresAt = 1_420_070_400.5
  t.match((await callApi(ecr)).json(), { authorizationData: [{ expiresAt: 1_420_070_400.5 }] })
})

t.test('a call without a signature is refused', async t => {
  const { ecr } = await started(t)
  const answer = await callApi(ecr, { authorization: 'Basic QVdTOng=' })
  t.equal(answer.status, 403)
  t.match(answer.json(), { __type: 'MissingAuthenticationTokenException' })
})

t.test('a token is as long as asked, and dies at its own time', async t => {
  const { ecr, getToken } = await started(t, { knobs: { tokenSize: 16 * 1024 } })
  const long = (await getToken()).authorizationToken ?? ''
  t.equal(long.length, 16 * 1024)
  t.equal((await ask(ecr, '/v2/', { authorization: `Basic ${long}` })).status, 200)
  ecr.knobs.tokenTtl = 0
  const dead = (await getToken()).authorizationToken ?? ''
  t.equal((await ask(ecr, '/v2/', { authorization: `Basic ${dead}` })).status, 403)
  t.equal(
    (await ask(ecr, '/v2/', { authorization: `Basic ${long}` })).status,
    200,
    'an older one outlives it',
  )
})

t.test('a token is good for every account of its region and no other region', async t => {
  const { ecr, getToken } = await started(t, TWO_REGIONS)
  const token = await getToken()
  const status = async (account: string, region: string) => {
    const host = ecr.hostOf({ account, region })
    return (await ask(ecr, '/v2/', { host, authorization: `Basic ${token.authorizationToken ?? ''}` })).status
  }
  t.equal(await status('111111111111', 'us-east-1'), 200)
  t.equal(await status('222222222222', 'us-east-1'), 200)
  t.equal(await status('111111111111', 'eu-west-1'), 401)
  t.equal((await ask(ecr, '/v2/', { host: '333333333333.dkr.ecr.us-east-1.amazonaws.com' })).status, 403)
})

t.test('accounts and regions keep their images apart', async t => {
  const { ecr } = await started(t, TWO_REGIONS)
  const where = { account: '222222222222', region: 'us-east-1' }
  await ecr.putImage('a', '1', where)
  t.equal((await ask(ecr, '/v2/a/manifests/1')).status, 404)
  t.equal((await ask(ecr, '/v2/a/manifests/1', { host: ecr.hostOf(where) })).status, 200)
  t.match(ecr.requests.at(-1), { ...where, action: 'BatchGetImage' })
})

t.test('faults of the API are the errors that the client knows', async t => {
  const { ecr, getToken } = await started(t)
  ecr.knobs.iamDenied = { GetAuthorizationToken: true }
  await t.rejects(getToken(), { name: 'AccessDeniedException', message: /ecr:GetAuthorizationToken/ })
  ecr.knobs.iamDenied = {}
  ecr.knobs.throttle = { GetAuthorizationToken: { next: 1 } }
  t.match(await callApi(ecr), { status: 400 })
  ecr.knobs.throttle = { GetAuthorizationToken: { next: 1 } }
  t.ok(await getToken(), 'the client tries again')
  ecr.knobs.serverError = { GetAuthorizationToken: 1 }
  t.match((await callApi(ecr)).json(), { __type: 'ServerException' })
  ecr.knobs.hang = { GetAuthorizationToken: 1 }
  await t.rejects(getToken(AbortSignal.timeout(50)), { name: 'AbortError' })
})

t.test('who calls can be asked where the token comes from', async t => {
  const { ecr } = await started(t)
  const headers = {
    authorization: 'AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/sts/aws4_request, Signature=0',
  }
  const body = 'Action=GetCallerIdentity&Version=2011-06-15'
  const answer = await fetchRaw(ecr.url, { method: 'POST', headers, body })
  t.match(answer.text(), '<Arn>arn:aws:iam::123456789012:user/mirror</Arn>')
  t.equal((await fetchRaw(ecr.url, { method: 'POST', body })).status, 403)
})

t.test('a repository is created once', async t => {
  const { ecr, client } = await started(t)
  const command = new CreateRepositoryCommand({ repositoryName: 'team/app', imageTagMutability: 'IMMUTABLE' })
  t.match((await client.send(command)).repository, { repositoryUri: `${ecr.host}/team/app` })
  await t.rejects(client.send(command), {
    name: 'RepositoryAlreadyExistsException',
    message: "The repository with name 'team/app' already exists in the registry with id '123456789012'",
  })
  t.equal((await ask(ecr, '/v2/team/app/blobs/uploads/', { method: 'POST' })).status, 202)
})

async function started(t: { teardown: (end: () => unknown) => unknown }, options?: EcrOptions) {
  const ecr = await startEcr(options)
  const client = new ECRClient({
    region: 'us-east-1',
    endpoint: ecr.url,
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
  })
  t.teardown(() => {
    client.destroy()
    return ecr.close()
  })
  const getToken = async (abortSignal?: AbortSignal) => {
    const answer = await client.send(new GetAuthorizationTokenCommand({}), {
      ...(abortSignal && { abortSignal }),
    })
    return answer.authorizationData?.[0] ?? {}
  }
  return { ecr, client, getToken }
}

function callApi(ecr: Ecr, headers: Record<string, string> = {}) {
  return fetchRaw(ecr.url, {
    method: 'POST',
    body: '{}',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=0',
      ...headers,
    },
  })
}
