import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { normalAccept } from '../../src/oci/accept.js'
import { startEcr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { startLink } from '../support/link.js'
import { mirrorOf, type MirrorAnswer, type MirrorUnderTest } from '../support/mirror.js'

const OCI = 'application/vnd.oci.image.manifest.v1+json'
const V2S2 = 'application/vnd.docker.distribution.manifest.v2+json'
const EVERYTHING = [OCI, V2S2, 'application/vnd.oci.image.index.v1+json'].join(', ')
/** So many that what is asked is kept by its digest. */
const LONG = [EVERYTHING, ...Array.from({ length: 40 }, (_, index) => `application/vnd.${index}`)].join(', ')

async function start(t: Test, options: Parameters<typeof mirrorOf>[2] = {}): Promise<MirrorUnderTest> {
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const directory = await mkdtemp(join(tmpdir(), 'apart-'))
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  const cache = { directory, tags: { ttl: '1h', immutable: ['v*'] }, membership: { ttl: '1h' } }
  return mirrorOf(t, ecr, { ...options, settings: { cache, ...options.settings } })
}

const get = ({ fetch }: MirrorUnderTest, accept: string, tag = 'v1'): Promise<MirrorAnswer> =>
  fetch(`/v2/team/app/manifests/${tag}`, { headers: { accept } })

t.test('no Accept header of one client decides what another is told of a tag', async t => {
  const odd = {
    'in capitals': OCI.toUpperCase(),
    'in mixed case': 'application/vnd.OCI.image.manifest.v1+json',
    'like what was pushed': '=',
    'like the digest of another header': digestOf(Buffer.from(normalAccept(LONG))),
    'with an empty item': `, ,${OCI},`,
    'with a weight of nothing': `${V2S2};q=0, ${OCI}`,
    'with a quoted comma': `text/x;a="${V2S2},${OCI}"`,
  }
  for (const [what, accept] of Object.entries(odd)) {
    const mirror = await start(t)
    const stored = await mirror.ecr.putImage('team/app', 'v1', { format: 'docker' })
    await (await get(mirror, accept)).arrayBuffer()
    for (const asked of [V2S2, EVERYTHING, LONG]) {
      const answer = await get(mirror, asked)
      t.equal(
        answer.headers.get('docker-content-digest'),
        stored.digest,
        `${what}, then ${asked.slice(0, 60)}`,
      )
      t.equal(answer.headers.get('content-type'), V2S2)
    }
  }
})

t.test('what is asked of the upstream is what its answer is kept under', async t => {
  const mirror = await start(t)
  await mirror.ecr.putImage('team/app', 'v1')
  const sent = async (accept: string): Promise<string | undefined> => {
    await (await mirror.fetch('/v2/team/app/manifests/v1', { headers: { accept } })).arrayBuffer()
    return mirror.ecr.requests.findLast(({ action }) => action === 'BatchGetImage')?.headers.accept
  }
  t.equal(await sent(` ${V2S2.toUpperCase()} ;Q=0.5,${OCI},, ${OCI}`), `${V2S2};q=0.5,${OCI}`)
  t.equal(await sent(LONG), normalAccept(LONG))
  t.equal(await sent(','), undefined)
})

t.test('who has no Accept that can be sent asks what others ask who have none', async t => {
  const mirror = await start(t)
  await mirror.ecr.putImage('team/app', 'v1')
  for (const accept of ['', ',', ' , ,']) await (await get(mirror, accept)).arrayBuffer()
  t.equal(mirror.ecr.count({ action: 'BatchGetImage' }), 1)
})

t.test('a tag that is not there for one odd Accept stays for the others', async t => {
  const mirror = await start(t)
  const { ecr } = mirror
  await ecr.putImage('team/app', 'v1')
  for (const accept of [EVERYTHING, OCI, V2S2]) await (await get(mirror, accept)).arrayBuffer()
  ecr.knobs.answer.BatchGetImage = [{ status: 404 }]
  t.equal((await get(mirror, 'application/x-odd')).status, 404)
  const before = ecr.requests.length
  for (const accept of [EVERYTHING, OCI, V2S2])
    t.equal((await get(mirror, accept)).headers.get('x-cache'), 'hit', accept)
  t.equal(ecr.requests.length, before, 'the upstream is not asked for it')
})

t.test('a tag that is gone for everybody is gone for all, whoever finds out', async t => {
  const mirror = await start(t)
  const { ecr } = mirror
  await ecr.putImage('team/app', 'v1')
  for (const accept of [EVERYTHING, OCI, V2S2]) await (await get(mirror, accept)).arrayBuffer()
  ecr.expire('team/app', 'v1')
  t.equal((await get(mirror, 'application/x-odd')).status, 404)
  for (const accept of [EVERYTHING, OCI, V2S2]) t.equal((await get(mirror, accept)).status, 404, accept)
})

t.test('lists of referrers are of no media type that a client asks for', async t => {
  const mirror = await start(t)
  const { digest } = await mirror.ecr.putImage('team/app', 'v1')
  await mirror.fetch(`/v2/team/app/referrers/${digest}`, { headers: { accept: 'text/html' } })
  const asked = mirror.ecr.requests.find(({ action }) => action === 'ListImageReferrers')
  t.equal(asked?.headers.accept, 'application/vnd.oci.image.index.v1+json')
})

t.test(
  'what one role was shown is no proof for another, and none for the same name with another role',
  async t => {
    const role = (name: string) => ({ roleArn: `arn:aws:iam::123456789012:role/${name}` })
    const ecr = await startEcr({ knobs: { deniedRoles: [role('stranger').roleArn] } })
    t.teardown(() => ecr.close())
    const sts = await startLink(t, ecr.url)
    process.env.AWS_ENDPOINT_URL_STS = sts.url
    t.teardown(() => Reflect.deleteProperty(process.env, 'AWS_ENDPOINT_URL_STS'))
    const directory = await mkdtemp(join(tmpdir(), 'apart-'))
    t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
    const of = async (t: Test, upstreams: object[]): Promise<MirrorUnderTest> =>
      mirrorOf(t, ecr, {
        settings: {
          cache: { directory, tags: { ttl: '1h' }, membership: { ttl: '1h' } },
          upstreams: upstreams.map(each => ({ host: ecr.host, ...reachOf(ecr), ...each })),
        },
      })
    const { layers, digest } = await ecr.putImage('hub/app', '1', { layers: [Buffer.from('a layer')] })
    const paths = ['manifests/1', `manifests/${digest}`, `blobs/${layers[0]!.digest}`]
    const pull = async ({ fetch }: MirrorUnderTest, repository: string): Promise<(string | null)[]> => {
      const results = []
      for (const path of paths) {
        const answer = await fetch(`/v2/${repository}/${path}`, { headers: { accept: EVERYTHING } })
        await answer.arrayBuffer()
        results.push(answer.ok ? answer.headers.get('x-cache') : String(answer.status))
      }
      return results
    }
    const mirror = await of(t, [
      { name: 'main', default: true, credentials: role('reader') },
      { name: 'hub', repositoryPrefix: 'hub', credentials: role('reader') },
      { name: 'other', repositoryPrefix: 'hub', credentials: role('stranger') },
      { name: 'plain', repositoryPrefix: 'hub' },
    ])
    t.same(await pull(mirror, 'hub/app'), ['miss', 'hit', 'miss'])
    t.same(await pull(mirror, 'main/hub/app'), ['hit', 'hit', 'hit'], 'the same role sees the same')
    t.same(await pull(mirror, 'other/app'), ['403', '403', '403'])
    t.same((await pull(mirror, 'plain/app')).slice(0, 1), ['miss'], 'other credentials have to be shown it')
    await mirror.app.close()

    const renamed = await of(t, [{ name: 'new', repositoryPrefix: 'hub', credentials: role('reader') }])
    t.same(await pull(renamed, 'new/app'), ['hit', 'hit', 'hit'], 'another name is no other role')
    await renamed.app.close()
    const changed = await of(t, [{ name: 'new', repositoryPrefix: 'hub', credentials: role('stranger') }])
    t.same(await pull(changed, 'new/app'), ['403', '403', '403'])
  },
)
