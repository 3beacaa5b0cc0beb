import t from 'tap'
import type { Ecr } from '../ecr/ecr.js'
import { startMirror, type MirrorAnswer } from '../support/mirror.js'

const DELETE_AND_CATALOG = [{ principals: ['*'], actions: ['pull', 'catalog'] }]

t.test('tags are listed as JSON, in order, page by page, on paths of the mirror', async t => {
  const { fetch, ecr } = await startMirror(t)
  const image = await ecr.putImage('team/app', 'v0')
  const { bytes, mediaType } = ecr.manifest('team/app', 'v0')!
  for (let number = 1; number < 250; number++) ecr.putManifest('team/app', `v${number}`, bytes, { mediaType })

  const seen: string[] = []
  let path: string | undefined = '/v2/team/app/tags/list'
  let pages = 0
  while (path !== undefined) {
    const answer: MirrorAnswer = await fetch(path)
    pages++
    t.equal(answer.status, 200)
    t.match(answer.headers.get('content-type'), /^application\/json/)
    const { name, tags } = await answer.json()
    t.equal(name, 'team/app')
    t.same(tags, [...tags].sort(), 'in order within the page')
    seen.push(...tags)
    const link: string | null = answer.headers.get('link')
    if (link) t.match(link, /^<\/v2\/team\/app\/tags\/list\?[^>]*last=[^>]+>; rel="next"$/, 'a relative path')
    path = link ? /<([^>]+)>/.exec(link)?.[1] : undefined
  }
  t.equal(pages, 3, 'ECR gives a hundred a page')
  t.equal(new Set(seen).size, 250, 'none is lost')
  t.ok(image)

  const many = await fetch('/v2/team/app/tags/list?n=5000')
  t.equal((await many.json()).tags.length, 250, 'ECR refuses more than a thousand; a client may ask for them')
  const few = await fetch('/v2/team/app/tags/list?n=7')
  t.equal((await few.json()).tags.length, 7)
  const none = await fetch('/v2/team/app/tags/list?n=0')
  t.same((await none.json()).tags, [])
  t.equal(none.headers.get('link'), null)
  t.equal((await fetch('/v2/team/app/tags/list?n=-1')).status, 400)
  t.equal((await fetch('/v2/team/none/tags/list')).status, 404)
})

t.test('with an upstream named in the path, pages stay under that path', async t => {
  const { fetch, ecr } = await startMirror(t)
  await ecr.putImage('team/app', 'v0')
  const { bytes, mediaType } = ecr.manifest('team/app', 'v0')!
  ecr.putManifest('team/app', 'v1', bytes, { mediaType })
  for (const segment of ['main', ecr.host]) {
    const answer = await fetch(`/v2/${segment}/team/app/tags/list?n=1`)
    t.match(answer.headers.get('link'), new RegExp(`^</v2/${segment}/team/app/tags/list\\?`))
    t.equal((await answer.json()).name, `${segment}/team/app`)
  }
})

t.test('a listing that is not one is not passed on', async t => {
  const { fetch, ecr } = await startMirror(t)
  for (const body of ['<html>', '{"tags":"v1"}', '[]']) {
    ecr.knobs.answer.ListImages = [{ status: 200, body }]
    t.equal((await fetch('/v2/team/app/tags/list')).status, 502, body)
  }
  ecr.knobs.answer.ListImages = [
    {
      status: 200,
      headers: { link: '<https://evil.example/v2/team/app/tags/list?last=x>; rel="next"' },
      body: '{"name":"team/app","tags":["v1"]}',
    },
  ]
  const answer = await fetch('/v2/team/app/tags/list')
  t.same((await answer.json()).tags, ['v1'])
  t.equal(answer.headers.get('link'), null, 'a page elsewhere is no page')
})

t.test('the next page is found among other links', async t => {
  const { fetch, ecr } = await startMirror(t)
  ecr.knobs.answer.ListImages = [
    {
      status: 200,
      headers: {
        link: ['</v2/team/app/tags/list?last=a>; rel="prev"', '</v2/team/app/tags/list?last=z>; rel="next"'],
      },
      body: '{"name":"team/app","tags":["v1"]}',
    },
  ]
  const answer = await fetch('/v2/team/app/tags/list')
  t.equal(answer.headers.get('link'), '</v2/team/app/tags/list?last=z>; rel="next"')
})

t.test('the catalog shows what its reader may pull, under the names to pull it by', async t => {
  const { fetch, ecr } = await startMirror(t, {
    settings: {
      policy: [
        { principals: ['*'], actions: ['catalog'] },
        { principals: ['*'], repositories: ['team/**'], actions: ['pull'] },
      ],
    },
  })
  for (const name of ['team/b', 'team/a', 'secret/x']) ecr.createRepository(name)
  const answer = await fetch('/v2/_catalog')
  t.same(await answer.json(), { repositories: ['team/a', 'team/b'] })
})

t.test('behind a repositoryPrefix, names are told without it', async t => {
  const { fetch, ecr } = await startMirror(t, {
    upstream: { repositoryPrefix: 'docker-hub' },
    settings: { policy: DELETE_AND_CATALOG },
  })
  await ecr.putImage('docker-hub/library/nginx', 'v1')
  ecr.createRepository('other')
  t.equal((await fetch('/v2/library/nginx/manifests/v1')).status, 200)
  t.equal((await (await fetch('/v2/library/nginx/tags/list')).json()).name, 'library/nginx')
  t.same(await (await fetch('/v2/_catalog')).json(), { repositories: ['library/nginx'] })
  t.equal((await fetch('/v2/other/tags/list')).status, 404, 'nothing outside of the prefix is reached')
})

t.test('referrers pass as an index', async t => {
  const { fetch, ecr } = await startMirror(t)
  const image = await ecr.putImage('team/app', 'v1')
  const answer = await fetch(`/v2/team/app/referrers/${image.digest}`)
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('content-type'), 'application/vnd.oci.image.index.v1+json')
  t.match(await answer.json(), { schemaVersion: 2, manifests: [] })
  ecr.knobs.referrers = 404
  t.equal((await fetch(`/v2/team/app/referrers/${image.digest}`)).status, 404)
})

/** Puts one image under so many tags, in an order that is not the alphabet's, and gives them in that one. */
async function tagged(ecr: Ecr, count: number): Promise<string[]> {
  await ecr.putImage('team/app', 'v0')
  const { bytes, mediaType } = ecr.manifest('team/app', 'v0')!
  const tags = Array.from({ length: count }, (_, number) => `v${number}`)
  for (const tag of tags) ecr.putManifest('team/app', tag, bytes, { mediaType })
  return tags.sort()
}

/** Follows the Links of a listing; gives what each page has. */
async function follow(
  fetch: (path: string) => Promise<MirrorAnswer>,
  path: string,
  entriesOf: (body: { tags: string[]; repositories: string[] }) => string[],
): Promise<string[][]> {
  const pages: string[][] = []
  for (let next: string | undefined = path; next !== undefined && pages.length < 100;) {
    const answer: MirrorAnswer = await fetch(next)
    if (answer.status !== 200) throw new Error(`${answer.status} of ${next}`)
    pages.push(entriesOf(await answer.json()))
    next = /^<(\/v2\/[^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1]
  }
  return pages
}

t.test('last begins behind a tag, of a registry that knows none but its own tokens', async t => {
  const { fetch, ecr } = await startMirror(t)
  const tags = await tagged(ecr, 1_200)
  const after = (last: string): string[] => tags.filter(tag => tag > last)
  for (const last of ['v1', 'v17.not-there', 'a', 'v9', 'zzz', '']) {
    const all = after(last)
    const some = await fetch(`/v2/team/app/tags/list?n=7&last=${last}`)
    t.equal(some.status, 200, last)
    t.same((await some.json()).tags, all.slice(0, 7), `seven behind ${last}`)
    const link = all.length > 7 ? `</v2/team/app/tags/list?last=${all[6]}&n=7>; rel="next"` : null
    t.equal(some.headers.get('link'), link)
    const whole = await follow(fetch, `/v2/team/app/tags/list?last=${last}`, ({ tags }) => tags)
    t.same(whole.flat(), all, `all behind ${last}`)
  }
  const none = await fetch('/v2/team/app/tags/list?n=0&last=v1')
  t.same((await none.json()).tags, [])
  t.equal(none.headers.get('link'), null)
  const many = await fetch('/v2/team/app/tags/list?n=100000&last=v1')
  t.same((await many.json()).tags, after('v1').slice(0, 1_000))
  for (const last of ['no%20tag', 'x'.repeat(129), 'a/b', '.a'])
    t.equal((await fetch(`/v2/team/app/tags/list?last=${last}`)).status, 405, `${last}, which is no tag`)
  t.equal((await fetch('/v2/team/none/tags/list?last=v1')).status, 404)
})

t.test(
  'n gives the first tags in order, and each is on one page, by Link or by the last of the page',
  async t => {
    const { fetch, ecr } = await startMirror(t)
    const tags = await tagged(ecr, 1_200)
    const pages = await follow(fetch, '/v2/team/app/tags/list?n=400', ({ tags }) => tags)
    t.same(pages.flat(), tags)
    t.equal(pages.length, 3)
    const seen: string[] = []
    for (let page: string[] = ['']; page.length > 0; seen.push(...page)) {
      const last = seen.at(-1)
      const answer = await fetch(`/v2/team/app/tags/list?n=400${last === undefined ? '' : `&last=${last}`}`)
      page = (await answer.json()).tags
    }
    t.same(seen, tags)
    const asked = await follow(fetch, '/v2/team/app/tags/list?n=1000', ({ tags }) => tags)
    t.same(asked.flat().sort(), tags, "a thousand at once come as the registry's pages")
  },
)

t.test('a registry that knows last is asked for no more than the page', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: { profile: 'spec' } })
  const tags = await tagged(ecr, 1_200)
  const before = ecr.count({ action: 'ListImages' })
  const answer = await fetch('/v2/team/app/tags/list?n=3&last=v1')
  t.same((await answer.json()).tags, tags.filter(tag => tag > 'v1').slice(0, 3))
  t.equal(ecr.count({ action: 'ListImages' }), before + 1)
})

t.test(
  'a list of more pages than are read is refused with the way out, and its first page is not',
  async t => {
    const { fetch, ecr } = await startMirror(t)
    let page = 0
    const endless = (): void => {
      ecr.knobs.answer.ListImages = [
        { status: 405, body: '{"errors":[{"code":"UNSUPPORTED","message":"Invalid nextToken"}]}' },
        ...Array.from({ length: 200 }, () => ({
          status: 200,
          headers: { link: `</v2/team/app/tags/list?last=${page}&n=1000>; rel="next"` },
          body: JSON.stringify({ tags: [`v${page++}`] }),
        })),
      ]
    }
    endless()
    const refused = await fetch('/v2/team/app/tags/list?last=v1')
    t.equal(refused.status, 405)
    t.match((await refused.json()).errors, [{ code: 'UNSUPPORTED', message: /more than 100 pages.*Link/ }])
    endless()
    ecr.knobs.answer.ListImages?.shift()
    const first = await fetch('/v2/team/app/tags/list?n=1')
    t.equal(first.status, 200)
    t.ok(first.headers.get('link'))
  },
)

t.test(
  'a refusal in the middle of such a list is the answer, and a client that leaves ends the reading',
  async t => {
    const { fetch, ecr } = await startMirror(t)
    await tagged(ecr, 1_200)
    ecr.knobs.answer.ListImages = [
      { status: 405, body: 'no' },
      {
        status: 200,
        headers: { link: '</v2/team/app/tags/list?last=t&n=1000>; rel="next"' },
        body: '{"tags":["a"]}',
      },
      { status: 403, body: 'no', times: 3 },
    ]
    t.equal((await fetch('/v2/team/app/tags/list?last=v1')).status, 403)
    ecr.knobs.answer = {}
    const before = ecr.count({ action: 'ListImages' })
    ecr.knobs.latency.ListImages = 200
    const leaving = fetch('/v2/team/app/tags/list?last=v1', { signal: AbortSignal.timeout(300) })
    await t.rejects(leaving)
    await ecr.settled()
    t.ok(ecr.count({ action: 'ListImages' }) - before < 3, 'no further page was asked for')
  },
)

t.test(
  'the catalog goes on behind a repository, by the names and within the rights of its reader',
  async t => {
    const { fetch, ecr } = await startMirror(t, {
      upstream: { repositoryPrefix: 'p' },
      settings: {
        policy: [
          { principals: ['*'], actions: ['catalog'] },
          { principals: ['*'], repositories: ['team/**'], actions: ['pull'] },
        ],
      },
    })
    const names = Array.from({ length: 300 }, (_, number) => `team/r${number}`).sort()
    for (const name of names) ecr.createRepository(`p/${name}`)
    for (const name of ['p/secret/x', 'team/other', 'p/z']) ecr.createRepository(name)
    for (const last of ['team/r1', 'team/r100', 'secret/x', 'zzz/z']) {
      const expected = names.filter(name => name > last)
      const pages = await follow(fetch, `/v2/_catalog?n=90&last=${last}`, body => body.repositories)
      t.same(pages.flat(), expected, last)
    }
    t.same((await follow(fetch, '/v2/_catalog?n=90', body => body.repositories)).flat(), names)
  },
)
