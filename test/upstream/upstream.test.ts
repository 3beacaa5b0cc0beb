import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { parseDigest, type Digest } from '../../src/oci/digest.js'
import { parseRepository, type Repository } from '../../src/oci/reference.js'
import { createThrottles } from '../../src/upstream/throttle.js'
import { createTokenSources } from '../../src/upstream/token-sources.js'
import {
  createUpstream,
  type Upstream,
  type UpstreamDeps,
  type UpstreamSettings,
} from '../../src/upstream/upstream.js'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { never, request, text } from './support/server.js'

process.env.AWS_ACCESS_KEY_ID = 'AKIDTEST'
process.env.AWS_SECRET_ACCESS_KEY = 'secret'

const CONTENT = Buffer.alloc(100_000, 'layer')
const digest = parseDigest(`sha256:${createHash('sha256').update(CONTENT).digest('hex')}`) as Digest
const repository = parseRepository('team/app') as Repository

async function stand(
  t: Test,
  settings: Partial<UpstreamSettings> = {},
  deps: Partial<UpstreamDeps> = {},
  knobs: Parameters<typeof startEcr>[0] = {},
): Promise<{ ecr: Ecr; upstream: Upstream }> {
  const ecr = await startEcr(knobs)
  t.teardown(() => ecr.close())
  const upstream = createUpstream(
    {
      name: 'main',
      host: ecr.host,
      ...reachOf(ecr),
      ...settings,
    },
    { tokens: createTokenSources(), throttles: createThrottles(), renewAfter: 0, ...deps },
  )
  t.teardown(() => upstream.close())
  return { ecr, upstream }
}

const ping = request({ action: 'DescribeRepositories', path: '/v2/' })
const tokenCalls = (ecr: Ecr): number =>
  ecr.count(({ headers }) => String(headers['x-amz-target'] ?? '').endsWith('GetAuthorizationToken'))

t.test('a thousand requests cost one token, of any length', async t => {
  const { ecr, upstream } = await stand(t, {}, {}, { knobs: { tokenSize: 8192 } })
  for (let i = 0; i < 10; i++) {
    const answers = await Promise.all(Array.from({ length: 100 }, () => upstream.send(ping)))
    for (const answer of answers) {
      if (answer.statusCode !== 200) t.fail(`answered ${answer.statusCode}`)
      await text(answer.body)
    }
  }
  t.equal(tokenCalls(ecr), 1)
  t.equal(ecr.open, 0)
})

t.test('a token that dies is renewed by one call and nobody notices', async t => {
  const { ecr, upstream } = await stand(t, {}, { renewAfter: 0 })
  await text((await upstream.send(ping)).body)
  await new Promise(resolve => setTimeout(resolve, 1100))
  ecr.expireTokens()
  const answers = await Promise.all(Array.from({ length: 50 }, () => upstream.send(ping)))
  for (const answer of answers) {
    t.equal(answer.statusCode, 200)
    await text(answer.body)
  }
  t.equal(tokenCalls(ecr), 2)
})

t.test('a blob is read from S3, whole and in part, and S3 sees no token', async t => {
  const { ecr, upstream } = await stand(t)
  await ecr.putBlob(repository, CONTENT)
  await ecr.putImage(repository, 'latest', { layers: [CONTENT] })
  t.same(await upstream.blobs.stat(repository, digest, never), { size: CONTENT.length })
  const whole = await upstream.blobs.open(repository, digest, undefined, never)
  if (!('status' in whole)) throw new Error(`answered ${whole.statusCode}`)
  t.match(whole, { status: 200, size: CONTENT.length })
  t.equal(await text(whole.body), CONTENT.toString())
  const part = await upstream.blobs.open(repository, digest, { suffix: 5 }, never)
  if (!('status' in part)) throw new Error(`answered ${part.statusCode}`)
  t.match(part, { status: 206, length: 5 })
  t.equal(await text(part.body), CONTENT.subarray(-5).toString())
  const atS3 = ecr.requests.filter(({ at }) => at === 's3')
  t.equal(atS3.length, 2)
  for (const { headers } of atS3) t.notOk('authorization' in headers)
})

t.test('without redirectHosts only the layer bucket of the region will do', async t => {
  const { ecr, upstream } = await stand(t, { redirectHosts: undefined })
  await ecr.putImage(repository, 'latest', { layers: [CONTENT] })
  await t.rejects(upstream.blobs.open(repository, digest, undefined, never), {
    status: 502,
    message: /redirectHosts/,
  })
  t.equal(
    ecr.count(({ at }) => at === 's3'),
    0,
  )
})

t.test('an expired redirect and a slow S3 are not noticed', async t => {
  const { ecr, upstream } = await stand(t)
  await ecr.putImage(repository, 'latest', { layers: [CONTENT] })
  for (const fault of ['expired', 'slowDown'] as const) {
    ecr.knobs.s3[fault] = 1
    const opened = await upstream.blobs.open(repository, digest, undefined, never)
    if (!('status' in opened)) throw new Error(`answered ${opened.statusCode}`)
    t.equal(await text(opened.body), CONTENT.toString())
  }
})

t.test('a registry of the specification that serves its blobs itself works the same', async t => {
  const { ecr, upstream } = await stand(t, {}, {}, { profile: 'spec' })
  await ecr.putImage(repository, 'latest', { layers: [CONTENT] })
  const opened = await upstream.blobs.open(repository, digest, { first: 0, last: 4 }, never)
  if (!('status' in opened)) throw new Error(`answered ${opened.statusCode}`)
  t.equal(await text(opened.body), 'layer')
})

t.test('a quota of the upstream is kept to', async t => {
  const { upstream } = await stand(t, { quotas: { DescribeRepositories: 1 } })
  await text((await upstream.send({ ...ping, patience: 0 })).body)
  await t.rejects(upstream.send({ ...ping, patience: 0 }), { status: 429, code: 'TOOMANYREQUESTS' })
})

t.test('hosts that are not of a registry of ECR are refused', t => {
  const deps = { tokens: createTokenSources(), throttles: createThrottles() }
  t.throws(() => createUpstream({ name: 'hub', host: 'docker.io' }, deps), /"hub".*docker\.io/)
  t.end()
})
