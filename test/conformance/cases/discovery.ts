import assert from 'node:assert/strict'
import { z } from 'zod'
import { category } from '../case.js'
import { expect, expectError, type Answer, type Client } from '../client.js'
import { newRepository, prepareImage, pushImage, pushManifest } from '../content.js'

const TAGS = ['0', 'A-upper', '_under', 'a', 'a.b', 'b', 'latest']
const TagList = z.object({ name: z.string(), tags: z.array(z.string()) })
const Catalog = z.object({ repositories: z.array(z.string()) })

/** A repository with tags that were set in another order than the alphabet's. */
async function tagged(client: Client): Promise<string> {
  const repository = newRepository()
  const { manifest } = await prepareImage(client, repository)
  for (const tag of [...TAGS].reverse()) expect(await pushManifest(client, repository, tag, manifest), 201)
  return repository
}

async function list(client: Client, repository: string, query = ''): Promise<Answer> {
  const answer = await client.send('GET', `/v2/${repository}/tags/list${query}`)
  expect(answer, 200)
  return answer
}

function tagsIn(answer: Answer): string[] {
  return TagList.parse(answer.json()).tags
}

/** Where the next page is, if there is one. */
function nextOf(answer: Answer): URL | undefined {
  const link = answer.header('link')
  if (link === undefined) return undefined
  const target = /^<([^>]+)>; *rel="?next"?$/.exec(link)?.[1]
  assert.ok(target, `the Link leads to a next page: ${link}`)
  return new URL(target, answer.url)
}

/** Distribution-spec, "Listing Tags"; the catalog is of the Docker registry's API before it. */
export const discovery = category('tags', {
  'are all listed, with the name of the repository': async client => {
    const repository = await tagged(client)
    const { name, tags } = TagList.parse((await list(client, repository)).json())
    assert.equal(name, repository)
    assert.deepEqual(tags.sort(), TAGS)
  },
  'are listed as JSON': async client => {
    const answer = await list(client, await tagged(client))
    assert.match(answer.header('content-type') ?? 'none', /^application\/json\b/)
  },
  'are in lexical order': async client => {
    assert.deepEqual(tagsIn(await list(client, await tagged(client))), TAGS)
  },
  'n limits them to the first': async client => {
    assert.deepEqual(tagsIn(await list(client, await tagged(client), '?n=3')), TAGS.slice(0, 3))
  },
  'n limits how many there are': async client => {
    assert.equal(tagsIn(await list(client, await tagged(client), '?n=3')).length, 3)
  },
  'n=0 gives none, and no Link': async client => {
    const answer = await list(client, await tagged(client), '?n=0')
    assert.deepEqual(tagsIn(answer), [])
    assert.equal(nextOf(answer), undefined)
  },
  'an n larger than their number gives all, and no Link': async client => {
    const answer = await list(client, await tagged(client), '?n=50')
    assert.deepEqual(tagsIn(answer).sort(), TAGS)
    assert.equal(nextOf(answer), undefined)
  },
  'an n larger than any page is no error': async client => {
    assert.deepEqual(tagsIn(await list(client, await tagged(client), '?n=100000')).sort(), TAGS)
  },
  'last begins after a tag': async client => {
    assert.deepEqual(tagsIn(await list(client, await tagged(client), '?last=_under')), TAGS.slice(3))
  },
  'last begins after a tag that is not there': async client => {
    assert.deepEqual(tagsIn(await list(client, await tagged(client), '?last=a.a')), TAGS.slice(4))
  },
  'n and last give a page': async client => {
    assert.deepEqual(tagsIn(await list(client, await tagged(client), '?n=2&last=_under')), TAGS.slice(3, 5))
  },
  'the last of a page leads to the next': async client => {
    const repository = await tagged(client)
    const seen: string[] = []
    for (let page: string[] = []; ; seen.push(...page)) {
      const last = seen.at(-1)
      page = tagsIn(await list(client, repository, `?n=3${last === undefined ? '' : `&last=${last}`}`))
      if (page.length === 0 || seen.length > TAGS.length) break
    }
    assert.deepEqual(seen, TAGS)
  },
  'Links lead from page to page, to all of them once': async client => {
    const repository = await tagged(client)
    const first = await list(client, repository, '?n=3')
    assert.ok(nextOf(first), 'the first page has a Link')
    const seen = tagsIn(first)
    for (let next = nextOf(first); next && seen.length <= TAGS.length;) {
      const answer = await client.send('GET', next)
      expect(answer, 200)
      seen.push(...tagsIn(answer))
      next = nextOf(answer)
    }
    assert.deepEqual(seen.sort(), TAGS)
  },
  'of a repository that is not there are 404 NAME_UNKNOWN': async client => {
    const answer = await client.send('GET', `/v2/${newRepository()}/tags/list`)
    expect(answer, 404)
    expectError(answer, 'NAME_UNKNOWN')
  },
  'catalog: a repository is listed': async client => {
    const repository = newRepository()
    await pushImage(client, repository, 'a')
    const seen: string[] = []
    for (let next: URL | string | undefined = '/v2/_catalog?n=1000'; next;) {
      const answer: Answer = await client.send('GET', next)
      expect(answer, 200)
      seen.push(...Catalog.parse(answer.json()).repositories)
      next = nextOf(answer)
    }
    assert.ok(seen.includes(repository), 'it is among the repositories')
  },
})
