import t from 'tap'
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
