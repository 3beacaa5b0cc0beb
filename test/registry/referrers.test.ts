import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Ecr } from '../ecr/ecr.js'
import { startEcr } from '../ecr/ecr.js'
import { startLink, type Link } from '../support/link.js'
import { mirrorOf, type MirrorAnswer, type MirrorUnderTest } from '../support/mirror.js'

const OCI = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'

interface Stage extends MirrorUnderTest {
  readonly clock: { now: number }
  readonly link: Link
  readonly subject: string
  readonly list: (query?: string) => Promise<MirrorAnswer>
  readonly digests: (answer: MirrorAnswer) => Promise<string[]>
}

async function start(t: Test): Promise<Stage> {
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const directory = await mkdtemp(join(tmpdir(), 'referrers-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const link = await startLink(t, ecr.url)
  const clock = { now: Date.now() }
  const mirror = await mirrorOf(t, ecr, {
    now: () => clock.now,
    upstream: { endpoint: link.url },
    settings: {
      cache: { directory, tags: { ttl: '10s', staleFor: '1h' } },
      policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete'] }],
    },
  })
  const { digest: subject } = await ecr.putImage('team/app', '1')
  return {
    ...mirror,
    clock,
    link,
    subject,
    list: (query = '') => mirror.fetch(`/v2/team/app/referrers/${subject}${query}`),
    digests: async answer => {
      const { manifests } = await answer.json()
      return (manifests as { digest: string }[]).map(({ digest }) => digest)
    },
  }
}

/** A manifest that refers to another, such as a signature. */
async function sign(ecr: Ecr, subject: string, seed: string): Promise<{ digest: string; bytes: Buffer }> {
  const config = await ecr.putBlob('team/app', `{"${seed}":1}`)
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI,
    artifactType: 'application/x-signature',
    config: { mediaType: 'application/x-signature', digest: config.digest, size: config.size },
    layers: [],
    subject: { mediaType: OCI, digest: subject, size: 1 },
  }
  return ecr.putManifest('team/app', undefined, manifest)
}

const asked = (ecr: Ecr): number => ecr.count({ action: 'ListImageReferrers' })

t.test('a list is believed as long as a tag is, and then asked for anew', async t => {
  const { ecr, subject, list, digests, clock } = await start(t)
  const first = await sign(ecr, subject, 'first')
  const miss = await list()
  t.equal(miss.headers.get('x-cache'), 'miss')
  t.equal(miss.headers.get('content-type'), INDEX)
  t.same(await digests(miss), [first.digest])
  const second = await sign(ecr, subject, 'second')
  const hit = await list()
  t.equal(hit.headers.get('x-cache'), 'hit')
  t.same(await digests(hit), [first.digest])
  t.equal(asked(ecr), 1)
  t.equal((await list('?artifactType=x/y')).headers.get('x-cache'), 'miss', 'another question')
  clock.now += 10_000
  t.same((await digests(await list())).sort(), [first.digest, second.digest].sort())
})

t.test('what is pushed or deleted through the mirror is seen at once', async t => {
  const { ecr, subject, list, digests, fetch } = await start(t)
  t.same(await digests(await list()), [])
  const config = await ecr.putBlob('team/app', '{}')
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI,
    config: { mediaType: 'x/y', digest: config.digest, size: config.size },
    layers: [],
    subject: { mediaType: OCI, digest: subject, size: 1 },
  })
  const pushed = await fetch('/v2/team/app/manifests/signature', {
    method: 'PUT',
    body: manifest,
    headers: { 'content-type': OCI },
  })
  const digest = pushed.headers.get('docker-content-digest')!
  t.same(await digests(await list()), [digest])
  t.equal((await fetch(`/v2/team/app/manifests/${digest}`, { method: 'DELETE' })).status, 202)
  t.same(await digests(await list()), [])
})

t.test('the last known list does while ECR is away, and a no is a no', async t => {
  const { ecr, subject, list, digests, clock, link } = await start(t)
  const { digest } = await sign(ecr, subject, 'only')
  await list()
  clock.now += 10_000
  await link.cut()
  const stale = await list()
  t.equal(stale.headers.get('x-cache'), 'stale')
  t.match(stale.headers.get('warning'), /^299 - "/)
  t.same(await digests(stale), [digest])
  await link.mend()
  ecr.knobs.answer.ListImageReferrers = [{ status: 404, times: 3 }]
  t.equal((await list()).status, 404)
  ecr.knobs.answer = {}
  await link.cut()
  t.equal((await list()).status, 502, 'and is remembered')
  await link.mend()
  await list()
  clock.now += 2 * 3_600_000
  await link.cut()
  t.equal((await list()).status, 502, 'what is too old is not served')
})

t.test('pages are asked for one by one, under paths of the mirror', async t => {
  const { ecr, subject, list } = await start(t)
  ecr.knobs.answer.ListImageReferrers = [
    {
      status: 200,
      headers: {
        'Content-Type': INDEX,
        Link: `<https://${ecr.host}/v2/team/app/referrers/${subject}?last=token&n=1>; rel="next"`,
      },
      body: JSON.stringify({ schemaVersion: 2, manifests: [] }),
    },
  ]
  for (const result of ['miss', 'hit']) {
    const answer = await list()
    t.equal(answer.headers.get('x-cache'), result)
    t.equal(answer.headers.get('link'), `</v2/team/app/referrers/${subject}?last=token&n=1>; rel="next"`)
  }
  t.equal((await list('?last=token&n=1')).headers.get('x-cache'), 'miss')
  t.match(ecr.requests.at(-1)!.url, /n=1&last=token$/)
})

t.test('a registry without referrers answers 404 in words by which clients look for the tag', async t => {
  const { ecr, subject, list, fetch } = await start(t)
  for (const body of ['404 page not found\n', '<html><h1>404 Not Found</h1></html>', '']) {
    ecr.knobs.answer.ListImageReferrers = [
      { status: 404, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body },
    ]
    const answer = await list()
    t.equal(answer.status, 404)
    // oras-go takes NAME_UNKNOWN for a missing repository and gives up; any other 404 has it look for the tag.
    const [error] = (await answer.json()).errors
    t.equal(error.code, 'UNSUPPORTED')
    t.match(error.message, /"main" has no referrers API/)
  }
  // The index that stands in for the API, under the tag that the specification gives it.
  const tag = subject.replace(':', '-')
  const index = { schemaVersion: 2, mediaType: INDEX, manifests: [] }
  ecr.putManifest('team/app', tag, index, { mediaType: INDEX })
  t.equal((await fetch(`/v2/team/app/manifests/${tag}`)).status, 200)
})

t.test('a repository that the registry itself says is missing stays NAME_UNKNOWN', async t => {
  const { ecr, fetch } = await start(t)
  const missing = await fetch(`/v2/team/none/referrers/sha256:${'a'.repeat(64)}`)
  t.equal(missing.status, 404)
  t.equal((await missing.json()).errors[0].code, 'NAME_UNKNOWN')
  t.equal(asked(ecr), 1)
})

t.test(
  'after a plain 404 the list is asked for again, and a refusal of another kind keeps its status',
  async t => {
    const { ecr, subject, list, digests } = await start(t)
    ecr.knobs.answer.ListImageReferrers = [{ status: 404, body: '404 page not found\n' }]
    t.equal((await list()).status, 404)
    const { digest } = await sign(ecr, subject, 'later')
    t.same(await digests(await list()), [digest], 'no is not remembered')
    for (const [status, seen] of [
      [400, 400],
      [405, 405],
      [406, 406],
      [501, 502],
    ] as const) {
      ecr.knobs.answer.ListImageReferrers = [{ status, body: 'no', times: 3 }]
      t.equal((await list(`?artifactType=x/${status}`)).status, seen, String(status))
    }
  },
)
