import t, { type Test } from 'tap'
import { randomBytes } from 'node:crypto'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'

const PUBLIC = { account: 'public', region: 'us-east-1' }
const PRIVATE = { account: '123456789012', region: 'us-east-1' }

/** A mirror of a private registry, which is the default, and of ECR Public. */
async function start(t: Test): Promise<MirrorUnderTest> {
  const ecr = await startEcr({ accounts: [PRIVATE, PUBLIC] })
  t.teardown(() => ecr.close())
  const common = reachOf(ecr)
  return mirrorOf(t, ecr, {
    settings: {
      upstreams: [
        { name: 'main', host: ecr.hostOf(PRIVATE), default: true, ...common },
        { name: 'public', host: 'public.ecr.aws', ...common },
      ],
    },
    deps: { renewAfter: 0 },
  })
}

/** There are no AWS credentials to be found while the test runs. */
function withoutCredentials(t: Test): void {
  const wanted = {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  }
  for (const [name, value] of Object.entries(wanted)) {
    const before = process.env[name]
    const set = (to: string | undefined): void => {
      if (to === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = to
    }
    set(value)
    t.teardown(() => set(before))
  }
}

const toPublic = (ecr: Ecr) =>
  ecr.requests.filter(({ at, account }) => at === 'registry' && account === 'public')

async function pull({ fetch }: MirrorUnderTest, name: string, tag: string): Promise<Buffer[]> {
  const manifest = await fetch(`/v2/${name}/manifests/${tag}`)
  if (manifest.status !== 200) throw new Error(`${manifest.status}: ${await manifest.text()}`)
  const { layers } = JSON.parse(await manifest.text()) as { layers: { digest: string }[] }
  return Promise.all(
    layers.map(async ({ digest }) =>
      Buffer.from(await (await fetch(`/v2/${name}/blobs/${digest}`)).arrayBuffer()),
    ),
  )
}

t.test('images of ECR Public are pulled with a bearer token, beside those of a private registry', async t => {
  const mirror = await start(t)
  const { ecr } = mirror
  await ecr.putImage('docker/library/app', '1', { ...PUBLIC, layers: [{ size: 1000, seed: 'public' }] })
  await ecr.putImage('docker/library/app', '1', { ...PRIVATE, layers: [{ size: 1000, seed: 'private' }] })
  const [open] = await pull(mirror, 'public/docker/library/app', '1')
  const [own] = await pull(mirror, 'docker/library/app', '1')
  t.equal(open?.length, 1000)
  t.notSame(open, own)
  t.equal(ecr.count({ action: 'BearerToken' }), 1)
  t.ok(toPublic(ecr).every(({ headers }) => headers.authorization?.startsWith('Bearer ')))
  t.ok(toPublic(ecr).every(({ headers }) => headers.host === 'public.ecr.aws'))
  t.notOk(ecr.requests.find(({ at, headers }) => at === 's3' && headers.authorization !== undefined))
  const { headers } = await mirror.fetch('/v2/docker/library/app/manifests/1?ns=public.ecr.aws')
  t.equal(headers.get('oci-namespace'), 'public.ecr.aws', 'its host names it')
})

t.test('who has AWS credentials also pushes', async t => {
  const mirror = await start(t)
  mirror.ecr.createRepository('alias/app', PUBLIC)
  const bytes = randomBytes(1000)
  const begun = await mirror.fetch('/v2/public/alias/app/blobs/uploads/', { method: 'POST' })
  t.equal(begun.status, 202)
  const put = await mirror.fetch(`${begun.headers.get('location')}?digest=${digestOf(bytes)}`, {
    method: 'PUT',
    body: bytes,
  })
  t.equal(put.status, 201)
  t.same(await mirror.ecr.blob('alias/app', digestOf(bytes), PUBLIC)?.bytes(), bytes)
})

t.test('without AWS credentials it is pulled as anybody may, and not pushed', async t => {
  withoutCredentials(t)
  const mirror = await start(t)
  await mirror.ecr.putImage('alias/app', '1', { ...PUBLIC, layers: [{ size: 1000, seed: 'public' }] })
  t.equal((await pull(mirror, 'public/alias/app', '1'))[0]?.length, 1000)
  t.equal(mirror.ecr.count({ action: 'GetAuthorizationToken' }), 0)
  t.notOk(mirror.ecr.requests.find(({ action }) => action === 'BearerToken')?.headers.authorization)
  const push = await mirror.fetch('/v2/public/alias/app/blobs/uploads/', { method: 'POST' })
  t.equal(push.status, 403)
  t.match((await push.json()).errors[0], { code: 'DENIED', message: /InitiateLayerUpload/ })
})

t.test(
  'a bearer token that has expired, which ECR Public calls a bad request, is renewed unseen',
  async t => {
    const mirror = await start(t)
    await mirror.ecr.putImage('alias/app', '1', { ...PUBLIC, layers: [{ size: 1000, seed: 'public' }] })
    await pull(mirror, 'public/alias/app', '1')
    mirror.ecr.expireTokens()
    await new Promise(resolve => setTimeout(resolve, 1_100))
    t.equal((await pull(mirror, 'public/alias/app', '1'))[0]?.length, 1000)
    t.ok(mirror.ecr.count({ action: 'BearerToken' }) > 1)
  },
)

t.test("a bad request that is the client's own business is passed on", async t => {
  const mirror = await start(t)
  mirror.ecr.createRepository('alias/app', PUBLIC)
  const body = JSON.stringify({ errors: [{ code: 'TAG_INVALID', message: 'No such tag can be.' }] })
  mirror.ecr.knobs.answer.BatchGetImage = [{ status: 400, body, times: 2 }]
  const answer = await mirror.fetch('/v2/public/alias/app/manifests/1')
  t.equal(answer.status, 400)
  t.match((await answer.json()).errors[0], { code: 'TAG_INVALID' })
})

t.test('a token endpoint that gives none is said to be the trouble', async t => {
  const mirror = await start(t)
  mirror.ecr.knobs.answer.BearerToken = [
    { status: 200, body: '{}', times: 3 },
    { status: 500, times: 3 },
  ]
  const answer = await mirror.fetch('/v2/public/alias/app/manifests/1')
  t.equal(answer.status, 503)
  t.match((await answer.json()).errors[0].message, /gave no token/)
})
