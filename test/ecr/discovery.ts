import { createHash } from 'node:crypto'
import { OCI } from './convert.js'
import { asText, parseObject } from './manifest-facts.js'
import { fail, reply, repositoryMissing, urlOf } from './reply.js'
import type { RepositoryVisit } from './stand.js'

export function listTags(visit: RepositoryVisit): void {
  const { repository, name } = visit
  if (!repository) {
    repositoryMissing(visit)
    return
  }
  const names = [...repository.tags.keys()]
  listing(visit, `/v2/${name}/tags/list`, names, tags => ({ name, tags }))
}

export function catalog(visit: RepositoryVisit): void {
  listing(visit, '/v2/_catalog', [...visit.registry.repositories.keys()], repositories => ({ repositories }))
}

/** One page of names, with a Link to the next where there is one. */
function listing(
  visit: RepositoryVisit,
  path: string,
  names: string[],
  body: (page: string[]) => object,
): void {
  const { knobs, query } = visit
  const asked = query.get('n')
  const n = asked === null ? undefined : Number(asked)
  if (n !== undefined && !(Number.isInteger(n) && n >= 0)) {
    fail(
      visit,
      knobs.tags.overMax === 'refuse' ? 405 : 400,
      'UNSUPPORTED',
      "Invalid parameter at 'maxResults'",
    )
    return
  }
  if (n !== undefined && n > knobs.tags.max && knobs.tags.overMax === 'refuse') {
    const text = `Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to ${knobs.tags.max}'`
    fail(visit, 405, 'UNSUPPORTED', text)
    return
  }
  if (n === 0 && knobs.tags.overMax === 'refuse') {
    const text = `Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value greater than or equal to 1'`
    fail(visit, 405, 'UNSUPPORTED', text)
    return
  }
  const ordered = knobs.tags.sorted
    ? names.sort(byCode)
    : names
        .map(name => ({ name, key: scrambled(name) }))
        .sort((a, b) => byCode(a.key, b.key))
        .map(({ name }) => name)
  const last = query.get('last')
  const start = last === null ? 0 : knobs.tags.last === 'opaque' ? offsetIn(last) : placeAfter(ordered, last)
  if (start === undefined) {
    fail(
      visit,
      405,
      'UNSUPPORTED',
      "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid nextToken'",
    )
    return
  }
  const size = Math.min(n ?? knobs.tags.page, knobs.tags.max)
  const page = ordered.slice(start, start + size)
  const more = page.length > 0 && start + size < ordered.length
  const next = new URLSearchParams({
    last: knobs.tags.last === 'opaque' ? tokenFor(start + size) : (page.at(-1) ?? ''),
    ...(n !== undefined && { n: String(n) }),
  }).toString()
  const link = more ? { Link: `<${urlOf(visit, `${path}?${next}`)}>; rel="next"` } : {}
  reply(visit, 200, { 'Content-Type': knobs.tags.contentType, ...link }, JSON.stringify(body(page)))
}

/** Any order but the alphabet's, always the same. */
function scrambled(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function placeAfter(ordered: string[], last: string): number {
  const place = ordered.findIndex(each => byCode(each, last) > 0)
  return place < 0 ? ordered.length : place
}

const PADDING = 'x'.repeat(120)

function tokenFor(offset: number): string {
  return Buffer.from(JSON.stringify({ paginationToken: String(offset), v: PADDING })).toString('base64')
}

function offsetIn(token: string): number | undefined {
  const offset = asText(parseObject(Buffer.from(token, 'base64').toString('utf8'))?.['paginationToken'])
  return offset === undefined ? undefined : Number(offset)
}

export function listReferrers(visit: RepositoryVisit, digest: string): void {
  const { knobs, repository, query } = visit
  if (knobs.referrers === 404) {
    fail(visit, 404, 'UNSUPPORTED', 'Not found')
    return
  }
  if (!/^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$/.test(digest)) {
    fail(visit, 400, 'DIGEST_INVALID', 'The digest is not valid')
    return
  }
  if (!repository && visit.stand.profile === 'ecr') {
    repositoryMissing(visit)
    return
  }
  const type = knobs.referrersHeaders ? query.get('artifactType') : null
  const manifests = [...(repository?.manifests.values() ?? [])]
    .filter(each => each.facts.subject === digest && (type === null || each.facts.artifactType === type))
    .map(each => ({
      mediaType: each.mediaType,
      digest: each.digest,
      size: each.bytes.length,
      artifactType: each.facts.artifactType,
      annotations: each.facts.annotations,
    }))
  const headers = {
    'Content-Type': OCI.index,
    ...(type !== null && { 'OCI-Filters-Applied': 'artifactType' }),
  }
  reply(visit, 200, headers, JSON.stringify({ schemaVersion: 2, mediaType: OCI.index, manifests }))
}
