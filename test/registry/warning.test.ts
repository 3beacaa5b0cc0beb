import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startEcr, type EcrOptions } from '../ecr/ecr.js'
import { startLink, type Link } from '../support/link.js'
import { mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'

const OCI = 'application/vnd.oci.image.manifest.v1+json'
const SAID = ['299 - "this image is going away"', '299 - "soon"']
const TOLD = SAID.join(', ')

interface Stage extends MirrorUnderTest {
  readonly clock: { now: number }
  readonly link: Link
}

async function start(t: Test, { cache, ecr: options }: { cache: boolean; ecr?: EcrOptions }): Promise<Stage> {
  const ecr = await startEcr(options)
  t.teardown(() => ecr.close())
  const link = await startLink(t, ecr.url)
  const directory = await mkdtemp(join(tmpdir(), 'warnings-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const clock = { now: Date.now() }
  const mirror = await mirrorOf(t, ecr, {
    now: () => clock.now,
    upstream: { endpoint: link.url },
    settings: {
      policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete', 'catalog'] }],
      ...(cache && { cache: { directory, tags: { ttl: '10s', staleFor: '1h' } } }),
    },
  })
  return { ...mirror, clock, link }
}

for (const [where, ecr] of [
  ['in the redirect to a blob', {}],
  ['with the blob itself', { profile: 'spec' }],
] as const)
  for (const cache of [false, true])
    t.test(
      `a registry's warnings reach the client, ${where}, ${cache ? 'with' : 'without'} a cache`,
      async t => {
        const { fetch, ecr: registry } = await start(t, { cache, ecr })
        const image = await registry.putImage('team/app', 'v1', { layers: [{ size: 5000, seed: 'a' }] })
        const blob = await registry.putBlob('team/app', { size: 5000, seed: 'a' })
        registry.knobs.warnings = SAID
        const answers: [string, RequestInit?][] = [
          ['/v2/team/app/manifests/v1', { method: 'HEAD' }],
          [`/v2/team/app/manifests/${image.digest}`],
          ['/v2/team/app/tags/list'],
          ['/v2/_catalog'],
          [`/v2/team/app/referrers/${image.digest}`],
          [`/v2/team/app/blobs/${blob.digest}`],
          ['/v2/team/app/blobs/uploads/', { method: 'POST' }],
        ]
        for (const [path, init] of answers) {
          const answer = await fetch(path, init)
          t.ok(answer.ok, path)
          const isKnown = answer.headers.get('x-cache') === 'hit'
          if (!isKnown) t.equal(answer.headers.get('warning'), TOLD, `${init?.method ?? 'GET'} ${path}`)
          await answer.arrayBuffer()
        }
        t.equal((await fetch('/v2/')).headers.get('warning'), null, 'nobody was asked')
        const missing = await fetch('/v2/team/app/manifests/none')
        t.equal(missing.status, 404)
        t.equal(missing.headers.get('warning'), null)
      },
    )

t.test('a push is told what the registry warns of, at each step', async t => {
  const { fetch, ecr } = await start(t, { cache: true })
  ecr.createRepository('team/app')
  ecr.knobs.warnings = SAID
  const content = Buffer.from('{}')
  const begun = await fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
  t.equal(begun.headers.get('warning'), TOLD)
  const sent = await fetch(begun.headers.get('location')!, { method: 'PATCH', body: content })
  t.equal(sent.headers.get('warning'), TOLD)
  const ended = await fetch(`${sent.headers.get('location')}?digest=${digestOf(content)}`, { method: 'PUT' })
  t.equal(ended.status, 201)
  t.equal(ended.headers.get('warning'), TOLD)
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(content), size: 2 },
    layers: [],
  })
  const put = await fetch('/v2/team/app/manifests/v1', {
    method: 'PUT',
    body: manifest,
    headers: { 'content-type': OCI },
  })
  t.equal(put.status, 201)
  t.equal(put.headers.get('warning'), TOLD, 'once, not twice')
})

t.test('what comes from the cache has no warning but its own', async t => {
  const { fetch, ecr, clock, link } = await start(t, { cache: true })
  await ecr.putImage('team/app', 'v1')
  ecr.knobs.warnings = SAID
  const ask = () => fetch('/v2/team/app/manifests/v1')
  t.equal((await ask()).headers.get('warning'), TOLD)
  const hit = await ask()
  t.equal(hit.headers.get('x-cache'), 'hit')
  t.equal(hit.headers.get('warning'), null)
  clock.now += 10_000
  await link.cut()
  const stale = await ask()
  t.equal(stale.headers.get('x-cache'), 'stale')
  t.match(stale.headers.get('warning'), /^299 - "ecr-mirror: [^"]*"$/)
})

t.test('a warning that is none, or names anything of AWS, goes no further', async t => {
  const { fetch, ecr } = await start(t, { cache: false })
  await ecr.putImage('team/app', 'v1')
  for (const warning of ['110 far "stale"', `299 - "ask ${ecr.host}"`, `299 - "${'x'.repeat(400)}"`]) {
    ecr.knobs.warnings = [warning]
    for (const path of ['manifests/v1', 'tags/list']) {
      const answer = await fetch(`/v2/team/app/${path}`)
      t.equal(answer.status, 200)
      t.equal(answer.headers.get('warning'), null, `${path}: ${warning.slice(0, 40)}`)
    }
  }
})
