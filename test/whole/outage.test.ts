import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { startLink, type Link } from '../support/link.js'
import { mirrorOf, type MirrorUnderTest } from '../support/mirror.js'

const HOUR = 3_600_000
const INDEX = 'application/vnd.oci.image.index.v1+json'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const ACCEPT = [INDEX, MANIFEST, 'application/vnd.docker.distribution.manifest.v2+json'].join(', ')

const PARTS = ['the ECR API', 'STS', 'the registry', 'S3'] as const
type Part = (typeof PARTS)[number]

interface Outage extends MirrorUnderTest {
  readonly links: Readonly<Record<Part, Link>>
  readonly clock: { now: number }
  /** Pulls an index with all that belongs to it; how each request met the cache, or its status when it failed. */
  pull(tag: string): Promise<string[]>
  autonomy(): Promise<{ hours: number; detail: string }>
}

async function start(t: Test): Promise<Outage> {
  // Tokens die young, so that an API that is away is missed.
  const ecr = await startEcr({ knobs: { tokenTtl: 2, roleTtl: 1 } })
  t.teardown(() => ecr.close())
  const [api, sts, registry] = [
    await startLink(t, ecr.url),
    await startLink(t, ecr.url),
    await startLink(t, ecr.url),
  ]
  const s3 = await startLink(t, `http://${ecr.s3Host}`)
  ecr.knobs.redirectHost = new URL(s3.url).host
  process.env.AWS_ENDPOINT_URL_STS = sts.url
  t.teardown(() => Reflect.deleteProperty(process.env, 'AWS_ENDPOINT_URL_STS'))
  const directory = await mkdtemp(join(tmpdir(), 'outage-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const clock = { now: Date.now() }
  const mirror = await mirrorOf(t, ecr, {
    now: () => clock.now,
    upstream: {
      endpoint: registry.url,
      apiEndpoint: api.url,
      redirectHosts: [new URL(s3.url).host],
      credentials: { roleArn: 'arn:aws:iam::123456789012:role/mirror' },
    },
    settings: {
      // Who may push is told by HEAD what the registry says, or that it cannot be asked.
      policy: [{ principals: ['*'], actions: ['pull'] }],
      cache: { directory, tags: { ttl: '10s', staleFor: '24h' } },
    },
  })

  async function get(path: string): Promise<[string, Buffer]> {
    const answer = await mirror.fetch(`/v2/team/app/${path}`, { headers: { accept: ACCEPT } })
    const bytes = Buffer.from(await answer.arrayBuffer())
    return [answer.status === 200 ? String(answer.headers.get('x-cache')) : String(answer.status), bytes]
  }

  return {
    ...mirror,
    links: { 'the ECR API': api, STS: sts, 'the registry': registry, S3: s3 },
    clock,
    async pull(tag) {
      const [top, bytes] = await get(`manifests/${tag}`)
      const results = [top]
      if (!bytes.includes('"manifests"')) return results
      const index = JSON.parse(bytes.toString()) as { manifests: { digest: string }[] }
      for (const { digest } of index.manifests) {
        const [result, manifest] = await get(`manifests/${digest}`)
        results.push(result)
        const image = JSON.parse(manifest.toString()) as {
          config: { digest: string }
          layers: { digest: string }[]
        }
        for (const blob of [image.config, ...image.layers]) {
          const [got, content] = await get(`blobs/${blob.digest}`)
          const right = (await ecr.blob('team/app', blob.digest)!.bytes()).equals(content)
          results.push(right ? got : `wrong ${got}`)
        }
      }
      return results
    },
    async autonomy() {
      const answer = await fetch(`${mirror.app.operationsUrl}/readyz`)
      const { checks } = (await answer.json()) as {
        checks: { name: string; hours: number; detail: string }[]
      }
      return checks.find(({ name }) => name === 'autonomy of main')!
    },
  }
}

async function putIndex(ecr: Ecr, tag: string): Promise<void> {
  const manifests = []
  for (const architecture of ['amd64', 'arm64']) {
    const layers = [
      { size: 50_000, seed: `${tag} ${architecture} 1` },
      { size: 70_000, seed: `${tag} ${architecture} 2` },
    ]
    const { digest } = await ecr.putImage('team/app', undefined, { layers })
    const { bytes, mediaType } = ecr.manifest('team/app', digest)!
    manifests.push({ mediaType, digest, size: bytes.length, platform: { os: 'linux', architecture } })
  }
  ecr.putManifest('team/app', tag, { schemaVersion: 2, mediaType: INDEX, manifests })
}

t.test(
  'whatever of AWS is away, singly or together, what was pulled once is pulled again',
  { timeout: 300_000 },
  async t => {
    const mirror = await start(t)
    await putIndex(mirror.ecr, 'app')
    t.ok(
      (await mirror.pull('app')).every(result => result === 'miss'),
      'it is fetched at first',
    )
    for (let subset = 1; subset < 1 << PARTS.length; subset++) {
      const away = PARTS.filter((_, index) => subset & (1 << index))
      for (const link of Object.values(mirror.links)) await link.mend()
      mirror.clock.now += 10_000
      await mirror.pull('app')
      for (const part of away) await mirror.links[part].cut()
      // Past what tags and proofs are believed for, and past the life of a token. In all less than a day, since
      // after an outage it takes a while until AWS is asked for a token again.
      mirror.clock.now += 1.1 * HOUR
      await new Promise(resolve => setTimeout(resolve, 2_100))
      const results = await mirror.pull('app')
      t.equal(results.length, 9)
      t.ok(
        results.every(result => ['hit', 'miss', 'stale'].includes(result)),
        `without ${away.join(', ')}: ${results.join(' ')}`,
      )
      if (away.includes('the registry')) {
        t.ok(
          results.every(result => result === 'stale'),
          'all of it from before',
        )
      }
      for (const part of away) await mirror.links[part].mend()
    }
  },
)

t.test('autonomy is told, and is as long as is told', { timeout: 120_000 }, async t => {
  const mirror = await start(t)
  await putIndex(mirror.ecr, 'app')
  await mirror.pull('app')
  t.equal(Math.round((await mirror.autonomy()).hours), 24)
  t.match(
    (await mirror.autonomy()).detail,
    /token is good for .* h; without the registry, .* for 24\.0 h more/,
  )
  for (const link of Object.values(mirror.links)) await link.cut()
  mirror.clock.now += 23.9 * HOUR
  t.ok((await mirror.pull('app')).every(result => result === 'stale'))
  t.match(
    (await mirror.autonomy()).detail,
    /has not answered for 0\.0 h; what is cached is served for 24\.0 h/,
  )
  mirror.clock.now += 0.2 * HOUR
  t.match(await mirror.pull('app'), [/^50[23]$/], 'and then no longer')
})

t.test('a no that comes in the middle of an outage of the rest is a no', async t => {
  const mirror = await start(t)
  const { ecr, fetch, links, clock } = mirror
  await putIndex(ecr, 'app')
  await mirror.pull('app')
  const index = ecr.manifest('team/app', 'app')!.bytes.toString()
  const child = (JSON.parse(index) as { manifests: [{ digest: string }] }).manifests[0].digest
  const image = ecr.manifest('team/app', child)!.bytes.toString()
  const layer = (JSON.parse(image) as { layers: [{ digest: string }] }).layers[0].digest
  await links.S3.cut()
  clock.now += 2 * HOUR
  for (const method of ['HEAD', 'GET']) {
    ecr.knobs.answer.BatchCheckLayerAvailability = [{ status: 500, times: 3 }]
    const stale = await fetch(`/v2/team/app/blobs/${layer}`, { method })
    t.equal(stale.headers.get('x-cache'), 'stale', method)
    t.match(stale.headers.get('warning'), /^299 - "/)
    await stale.arrayBuffer()
  }
  ecr.knobs.answer.BatchCheckLayerAvailability = [{ status: 403, times: 9 }]
  const refused = await fetch(`/v2/team/app/blobs/${layer}`)
  t.equal(refused.status, 403, String(refused.headers.get('x-cache')))
  await links['the registry'].cut()
  t.equal((await fetch(`/v2/team/app/blobs/${layer}`)).status, 502, 'which is remembered')
})
