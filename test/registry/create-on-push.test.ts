import t, { type Test } from 'tap'
import { mirrorOf, startMirror, type MirrorUnderTest } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'
import { startEcr } from '../ecr/ecr.js'

const TEMPLATE = {
  match: ['team/**'],
  tagMutability: 'IMMUTABLE',
  scanOnPush: true,
  encryption: { type: 'KMS', key: 'alias/images' },
  tags: { owner: 'platform' },
}

const start = (t: Test, createRepositories: object = TEMPLATE): Promise<MirrorUnderTest> =>
  startMirror(t, { upstream: { createRepositories } })

const begin = ({ fetch }: Pick<MirrorUnderTest, 'fetch'>, repository: string, query = '') =>
  fetch(`/v2/${repository}/blobs/uploads/${query}`, { method: 'POST' })

t.test('a push into a missing repository creates it, as the operator wants it', async t => {
  const mirror = await start(t)
  const begun = await begin(mirror, 'team/new')
  t.equal(begun.status, 202)
  t.match(mirror.ecr.settingsOf('team/new'), {
    registryId: '123456789012',
    repositoryName: 'team/new',
    imageTagMutability: 'IMMUTABLE',
    imageScanningConfiguration: { scanOnPush: true },
    encryptionConfiguration: { encryptionType: 'KMS', kmsKey: 'alias/images' },
    tags: [{ Key: 'owner', Value: 'platform' }],
  })
  const bytes = Buffer.from('a layer')
  const put = await mirror.fetch(`${begun.headers.get('location')}?digest=${digestOf(bytes)}`, {
    method: 'PUT',
    body: bytes,
  })
  t.equal(put.status, 201, 'and the push goes on')
  t.equal((await begin(mirror, 'team/new')).status, 202)
  t.equal(mirror.ecr.count({ action: 'CreateRepository' }), 1, 'once')
  t.match(
    mirror.log.find(({ msg }) => msg === 'repository created'),
    { level: 30, upstream: 'main', repository: 'team/new' },
  )
})

t.test('what is left out of the template is left to ECR', async t => {
  const mirror = await start(t, { match: ['**'] })
  t.equal((await begin(mirror, 'any/where')).status, 202)
  t.same(mirror.ecr.settingsOf('any/where'), {
    registryId: '123456789012',
    repositoryName: 'any/where',
    tags: [],
  })
})

t.test('many that push at once to a missing repository create it once', async t => {
  const mirror = await start(t)
  mirror.ecr.knobs.latency.CreateRepository = 200
  const begun = await Promise.all(Array.from({ length: 10 }, () => begin(mirror, 'team/new')))
  t.same(new Set(begun.map(({ status }) => status)), new Set([202]))
  t.equal(mirror.ecr.count({ action: 'CreateRepository' }), 1)
})

t.test('somebody else who created it meanwhile is no failure', async t => {
  const mirror = await start(t)
  mirror.ecr.knobs.latency.CreateRepository = 200
  const begun = begin(mirror, 'team/new')
  await mirror.ecr.arrived({ action: 'CreateRepository' })
  mirror.ecr.createRepository('team/new')
  t.equal((await begun).status, 202)
})

t.test('a mount into a missing repository creates it too', async t => {
  const mirror = await start(t)
  const { digest } = await mirror.ecr.putBlob('team/old', Buffer.from('a layer'))
  mirror.ecr.knobs.blobMounting = true
  t.equal((await begin(mirror, 'team/new', `?mount=${digest}&from=team/old`)).status, 201)
})

t.test('nothing is created that no pattern is for: the client sees what ECR says', async t => {
  const mirror = await start(t)
  for (const repository of ['other/new', 'team']) {
    const answer = await begin(mirror, repository)
    t.equal(answer.status, 404)
    t.match(await answer.json(), {
      errors: [{ code: 'NAME_UNKNOWN', message: `The repository with name '${repository}' does not exist` }],
    })
  }
  const without = await startMirror(t)
  t.equal((await begin(without, 'team/new')).status, 404)
  t.equal(mirror.ecr.count({ action: 'CreateRepository' }), 0)
})

t.test('nothing is created for who may not push, or only looks', async t => {
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const mirror = await mirrorOf(t, ecr, {
    upstream: { createRepositories: TEMPLATE },
    settings: {
      policy: [
        { principals: ['ci'], repositories: ['team/mine'], actions: ['pull', 'push'] },
        { principals: ['ci'], actions: ['pull'] },
      ],
    },
  })
  t.equal((await begin(mirror, 'team/other')).status, 403)
  t.equal((await mirror.fetch('/v2/team/mine/manifests/v1')).status, 404)
  t.equal((await mirror.fetch(`/v2/team/mine/blobs/${digestOf(Buffer.from(''))}`)).status, 404)
  t.equal(ecr.count({ action: 'CreateRepository' }), 0)
  t.equal((await begin(mirror, 'team/mine')).status, 202)
})

t.test('a permission that is missing is named, and tried again with the next push', async t => {
  const mirror = await start(t)
  mirror.ecr.knobs.iamDenied.CreateRepository = true
  const answer = await begin(mirror, 'team/new')
  t.equal(answer.status, 403)
  const { message } = (await answer.json()).errors[0]
  t.match(
    message,
    /repository team\/new of the upstream "main".*lacks ecr:CreateRepository or ecr:TagResource/,
  )
  t.notMatch(message, /arn:aws/)
  mirror.ecr.knobs.iamDenied = {}
  t.equal((await begin(mirror, 'team/new')).status, 202)
})

t.test('an API that fails is said to be one', async t => {
  const mirror = await start(t)
  mirror.ecr.knobs.answer.CreateRepository = [
    { status: 400, body: '{"__type":"LimitExceededException"}', times: 9 },
  ]
  const answer = await begin(mirror, 'team/new')
  t.equal(answer.status, 503)
  t.ok(answer.headers.get('retry-after'))
  t.match((await answer.json()).errors[0].message, /missing and could not be created/)
})

t.test("ECR's own creation on push is left to ECR", async t => {
  const mirror = await start(t)
  mirror.ecr.knobs.createOnPush = ['team/']
  t.equal((await begin(mirror, 'team/new')).status, 202)
  t.equal(mirror.ecr.count({ action: 'CreateRepository' }), 0)
})

t.test(
  'a repositoryPrefix goes before what is created, and the pattern is about what comes after it',
  async t => {
    const mirror = await startMirror(t, {
      upstream: { repositoryPrefix: 'ci', createRepositories: { match: ['team/*'] } },
    })
    t.equal((await begin(mirror, 'team/new')).status, 202)
    t.match(mirror.ecr.settingsOf('ci/team/new'), { repositoryName: 'ci/team/new' })
    t.equal((await begin(mirror, 'ci/team/new')).status, 404)
  },
)

t.test('a push in one request, which cannot be sent twice, is asked for again', async t => {
  const mirror = await start(t)
  mirror.ecr.knobs.singlePost = true
  const bytes = Buffer.from('a layer')
  const push = () =>
    mirror.fetch(`/v2/team/new/blobs/uploads/?digest=${digestOf(bytes)}`, { method: 'POST', body: bytes })
  const first = await push()
  t.equal(first.status, 503)
  t.equal(first.headers.get('retry-after'), '1')
  t.equal((await push()).status, 201)
})
