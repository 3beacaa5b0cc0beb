import { isDigestAlgorithm, parseDigest, type Digest, type DigestAlgorithm } from './digest.js'
import { OciError } from './error.js'
import { parseReference, parseRepository, parseTag, referenceText } from './reference.js'
import type { Reference, Repository, Tag } from './reference.js'

/**
 * The endpoints of the distribution-spec, each under the path the spec gives it. These texts are also the routes
 * that the router knows: a request's own path never reaches it.
 */
export const ROUTES = {
  base: '/v2/',
  catalog: '/v2/_catalog',
  tags: '/v2/<name>/tags/list',
  referrers: '/v2/<name>/referrers/<digest>',
  manifest: '/v2/<name>/manifests/<reference>',
  blob: '/v2/<name>/blobs/<digest>',
  uploads: '/v2/<name>/blobs/uploads/',
  upload: '/v2/<name>/blobs/uploads/<session>',
} as const

export type EndpointKind = keyof typeof ROUTES

/** The methods that each endpoint has; everything else is 405. */
export const METHODS: Readonly<Record<EndpointKind, readonly string[]>> = {
  base: ['GET', 'HEAD'],
  catalog: ['GET'],
  tags: ['GET'],
  referrers: ['GET'],
  manifest: ['GET', 'HEAD', 'PUT', 'DELETE'],
  blob: ['GET', 'HEAD', 'DELETE'],
  uploads: ['POST'],
  upload: ['GET', 'PATCH', 'PUT', 'DELETE'],
}

/** One page of a listing: how many entries, and where the last page ended (opaque to the mirror). */
export interface Paging {
  readonly n?: number
  readonly last?: string
}

/** What a request asks for, as its path and query say it; every part is checked. */
export type Endpoint =
  | { readonly kind: 'base' }
  | ({ readonly kind: 'catalog' } & Paging)
  | ({ readonly kind: 'tags'; readonly name: Repository } & Paging)
  | ({
      readonly kind: 'referrers'
      readonly name: Repository
      readonly digest: Digest
      readonly artifactType?: string
    } & Paging)
  | {
      readonly kind: 'manifest'
      readonly name: Repository
      readonly reference: Reference
      /** Further tags that a PUT by digest sets, `?tag=a&tag=b`. */
      readonly tags: readonly Tag[]
    }
  | { readonly kind: 'blob'; readonly name: Repository; readonly digest: Digest }
  | {
      readonly kind: 'uploads'
      readonly name: Repository
      readonly digest?: Digest
      readonly digestAlgorithm?: DigestAlgorithm
      /** Left out where it is no digest: such a mount is an ordinary upload. */
      readonly mount?: Digest
      /** As the client names it, which may be with an upstream's name in front; left out where it names nothing. */
      readonly from?: Repository
    }
  | {
      readonly kind: 'upload'
      readonly name: Repository
      /** The sealed session, not opened yet. */
      readonly session: string
      readonly digest?: Digest
    }

/** An endpoint, and the `ns` query parameter: the registry that the client wants to reach through the mirror. */
export interface ParsedRequest {
  readonly endpoint: Endpoint
  readonly ns?: string
}

/** Nothing in the API's grammar needs an escape, so nothing has to be decoded and nothing can hide behind one. */
const CANONICAL_PATH = /^\/[A-Za-z0-9._:/-]*$/
const SESSION = /^[A-Za-z0-9_-]{1,8192}$/
const MAX_TARGET_LENGTH = 12 * 1024

/**
 * The one parser of request targets. Takes the method and the raw request target as it came over the wire and
 * gives what it means, or the refusal it deserves; it never throws and does nothing but compare characters.
 */
export function parseRequest(method: string, rawTarget: string): ParsedRequest | OciError {
  const mark = rawTarget.indexOf('?')
  const path = mark < 0 ? rawTarget : rawTarget.slice(0, mark)
  if (rawTarget.length > MAX_TARGET_LENGTH)
    return new OciError('NAME_INVALID', 'The request target is too long.', { status: 414 })
  if (!CANONICAL_PATH.test(path)) return notCanonical()
  const query = parseQuery(mark < 0 ? '' : rawTarget.slice(mark + 1))
  if (query instanceof OciError) return query
  const endpoint = parsePath(method, path, query)
  if (endpoint instanceof OciError) return endpoint
  const ns = query.get('ns')
  return ns === undefined ? { endpoint } : { endpoint, ns }
}

function parsePath(method: string, path: string, query: Query): Endpoint | OciError {
  if (path === '/v2' || path === '/v2/') return allowed(method, { kind: 'base' })
  if (!path.startsWith('/v2/'))
    return new OciError('NAME_UNKNOWN', 'This is a registry mirror; its API is under /v2/.')
  if (path === '/v2/_catalog')
    return withPaging(query, paging => allowed(method, { kind: 'catalog', ...paging }))

  // A repository may be called `manifests` or `tags/list`, so the path is read from its end.
  const segments = path.slice('/v2/'.length).split('/')
  const [thirdLast, secondLast, last = ''] = [segments.at(-3), segments.at(-2), segments.at(-1)]
  const nameBefore = (count: number): Repository | undefined =>
    parseRepository(segments.slice(0, -count).join('/'))

  if (thirdLast === 'blobs' && secondLast === 'uploads') {
    const name = nameBefore(3)
    if (!name) return invalidName()
    return last === '' ? parseUploads(method, name, query) : parseUpload(method, name, last, query)
  }
  if (secondLast === 'tags' && last === 'list') {
    const name = nameBefore(2)
    return name
      ? withPaging(query, paging => allowed(method, { kind: 'tags', name, ...paging }))
      : invalidName()
  }
  if (secondLast === 'blobs') {
    const name = nameBefore(2)
    if (!name) return invalidName()
    const digest = parseDigest(last)
    return digest ? allowed(method, { kind: 'blob', name, digest }) : invalidDigest(last)
  }
  if (secondLast === 'referrers') {
    const name = nameBefore(2)
    if (!name) return invalidName()
    const digest = parseDigest(last)
    const artifactType = query.get('artifactType')
    if (!digest) return invalidDigest(last)
    return withPaging(query, paging =>
      allowed(method, {
        kind: 'referrers',
        name,
        digest,
        ...(artifactType === undefined ? {} : { artifactType }),
        ...paging,
      }),
    )
  }
  if (secondLast === 'manifests') {
    const name = nameBefore(2)
    return name ? parseManifest(method, name, last, query) : invalidName()
  }
  return notCanonical('NAME_UNKNOWN')
}

function parseManifest(method: string, name: Repository, text: string, query: Query): Endpoint | OciError {
  const reference = parseReference(text)
  if (!reference) {
    if (text.includes(':')) return invalidDigest(text)
    // What is no tag cannot be there; only a push of it is a mistake (conformance tests ask for such a tag).
    return method === 'PUT'
      ? new OciError('TAG_INVALID', `"${text.slice(0, 128)}" is not a valid tag.`)
      : new OciError(
          'MANIFEST_UNKNOWN',
          `"${text.slice(0, 128)}" is not a valid tag, so there is no such manifest.`,
        )
  }
  const tags: Tag[] = []
  for (const each of query.all('tag')) {
    const tag = parseTag(each)
    if (!tag || 'tag' in reference)
      return new OciError(
        'TAG_INVALID',
        'The tag parameter names an invalid tag, or goes with a push by tag.',
      )
    tags.push(tag)
  }
  return allowed(method, { kind: 'manifest', name, reference, tags })
}

function parseUploads(method: string, name: Repository, query: Query): Endpoint | OciError {
  const digestText = query.get('digest')
  const algorithm = query.get('digest-algorithm')
  const digest = digestText === undefined ? undefined : parseDigest(digestText)
  // A registry that cannot mount what is asked for begins an upload (distribution-spec, "Mounting a blob").
  const mount = parseDigest(query.get('mount') ?? '')
  const from = parseRepository(query.get('from') ?? '')
  if (digestText !== undefined && !digest) return invalidDigest(digestText)
  if (algorithm !== undefined && !isDigestAlgorithm(algorithm)) return invalidDigest(algorithm)
  return allowed(method, {
    kind: 'uploads',
    name,
    ...(digest && { digest }),
    ...(algorithm !== undefined && { digestAlgorithm: algorithm }),
    ...(mount && { mount }),
    ...(from && { from }),
  })
}

function parseUpload(method: string, name: Repository, session: string, query: Query): Endpoint | OciError {
  if (!SESSION.test(session)) return new OciError('BLOB_UPLOAD_UNKNOWN', 'There is no such upload session.')
  const digestText = query.get('digest')
  const digest = digestText === undefined ? undefined : parseDigest(digestText)
  if (digestText !== undefined && !digest) return invalidDigest(digestText)
  if (method === 'PUT' && !digest)
    return new OciError('DIGEST_INVALID', 'An upload ends with PUT and a digest parameter.')
  return allowed(method, { kind: 'upload', name, session, ...(digest && { digest }) })
}

function allowed(method: string, endpoint: Endpoint): Endpoint | OciError {
  const methods = METHODS[endpoint.kind]
  if (methods.includes(method)) return endpoint
  return new OciError('UNSUPPORTED', `The endpoint ${ROUTES[endpoint.kind]} has no ${method.slice(0, 16)}.`, {
    headers: { allow: methods.join(', ') },
  })
}

function withPaging(query: Query, make: (paging: Paging) => Endpoint | OciError): Endpoint | OciError {
  const [n, last] = [query.get('n'), query.get('last')]
  if (n !== undefined && !/^\d{1,9}$/.test(n)) {
    return new OciError('UNSUPPORTED', 'The parameter n must be a whole number of entries.', { status: 400 })
  }
  return make({ ...(n !== undefined && { n: Number(n) }), ...(last !== undefined && { last }) })
}

/** The parameters the API knows, decoded; others are not looked at and go nowhere. */
interface Query {
  get(name: KnownParameter): string | undefined
  all(name: KnownParameter): readonly string[]
}

const KNOWN_PARAMETERS = [
  'ns',
  'n',
  'last',
  'digest',
  'digest-algorithm',
  'mount',
  'from',
  'tag',
  'artifactType',
] as const
type KnownParameter = (typeof KNOWN_PARAMETERS)[number]

const NO_QUERY: Query = { get: () => undefined, all: () => [] }

const PRINTABLE = /^[\x20-\x7e]{0,4096}$/

/** What the API knows has nine names, of which only `tag` may be given with several values. */
const MAX_PARAMETERS = 32

function isKnown(name: string): name is KnownParameter {
  return KNOWN_PARAMETERS.some(known => known === name)
}

/** Anybody may send a query, so what is not known is looked at once and kept nowhere. */
function parseQuery(text: string): Query | OciError {
  if (text === '') return NO_QUERY
  const pairs = text.split('&', MAX_PARAMETERS + 1)
  if (pairs.length > MAX_PARAMETERS)
    return new OciError('UNSUPPORTED', `A query may have at most ${MAX_PARAMETERS} parameters.`, {
      status: 400,
    })
  const values = new Map<KnownParameter, Set<string>>()
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    const name = decode(equals < 0 ? pair : pair.slice(0, equals))
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1))
    if (name === undefined || value === undefined || !PRINTABLE.test(value)) {
      return new OciError(
        'UNSUPPORTED',
        'The query has a malformed escape or a character that is not printable ASCII.',
        { status: 400 },
      )
    }
    if (!isKnown(name)) continue
    // containerd adds `ns` to a Location that may have it already.
    values.set(name, (values.get(name) ?? new Set()).add(value))
  }
  const repeated = KNOWN_PARAMETERS.find(name => name !== 'tag' && (values.get(name)?.size ?? 0) > 1)
  if (repeated)
    return new OciError('UNSUPPORTED', `The parameter ${repeated} is given twice with different values.`, {
      status: 400,
    })
  return { get: name => values.get(name)?.values().next().value, all: name => [...(values.get(name) ?? [])] }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/**
 * The path of an endpoint. `pathOf(parse(path)) === path` for every accepted path but `/v2`; with another name in
 * it, this is also what the upstream is asked: never the client's own text.
 */
export function pathOf(endpoint: Endpoint): string {
  switch (endpoint.kind) {
    case 'base':
    case 'catalog':
      return ROUTES[endpoint.kind]
    case 'tags':
      return `/v2/${endpoint.name}/tags/list`
    case 'referrers':
      return `/v2/${endpoint.name}/referrers/${endpoint.digest}`
    case 'manifest':
      return `/v2/${endpoint.name}/manifests/${referenceText(endpoint.reference)}`
    case 'blob':
      return `/v2/${endpoint.name}/blobs/${endpoint.digest}`
    case 'uploads':
      return `/v2/${endpoint.name}/blobs/uploads/`
    case 'upload':
      return `/v2/${endpoint.name}/blobs/uploads/${endpoint.session}`
  }
}

/** The query of an endpoint without `?`; empty when there is none. `ns` is the mirror's business and not in it. */
export function queryOf(endpoint: Endpoint): string {
  const query = new URLSearchParams()
  const set = (name: KnownParameter, value: string | number | undefined): void => {
    if (value !== undefined) query.append(name, String(value))
  }
  switch (endpoint.kind) {
    case 'catalog':
    case 'tags':
      set('n', endpoint.n)
      set('last', endpoint.last)
      break
    case 'referrers':
      set('artifactType', endpoint.artifactType)
      set('n', endpoint.n)
      set('last', endpoint.last)
      break
    case 'manifest':
      for (const tag of endpoint.tags) set('tag', tag)
      break
    case 'uploads':
      set('digest', endpoint.digest)
      set('digest-algorithm', endpoint.digestAlgorithm)
      set('mount', endpoint.mount)
      set('from', endpoint.from)
      break
    case 'upload':
      set('digest', endpoint.digest)
      break
    case 'base':
    case 'blob':
      break
  }
  return query.toString()
}

function notCanonical(code: 'NAME_INVALID' | 'NAME_UNKNOWN' = 'NAME_INVALID'): OciError {
  return new OciError(code, 'The path is not one of the registry API in its plain form, without escapes.')
}

function invalidName(): OciError {
  return new OciError(
    'NAME_INVALID',
    'The repository name is not valid: lower-case path components, at most 255 characters.',
  )
}

function invalidDigest(text: string): OciError {
  return new OciError(
    'DIGEST_INVALID',
    `"${text.slice(0, 150)}" is not a sha256 or sha512 digest in lower-case hex.`,
  )
}
