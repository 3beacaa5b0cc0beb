import { OciError } from '../oci/error.js'
import { parseRepository, type Repository } from '../oci/reference.js'
import type { Endpoint, EndpointKind, ParsedRequest } from '../oci/endpoint.js'
import type { Action } from '../access/policy.js'
import type { Upstream } from '../upstream/upstream.js'
import type { UpstreamTable } from '../upstream/upstream-table.js'
import type { UploadSession, UploadSessions } from './upload-session.js'

/** The far side of a request that is about a repository. */
export interface Place {
  readonly upstream: Upstream
  /** As grants name it: without an upstream's name in front, before a repositoryPrefix is put on. */
  readonly repository: Repository
  /** As the upstream knows it. */
  readonly upstreamRepository: Repository
}

/** A parsed request with everything it means: what is asked, of which upstream, and what permission it needs. */
export interface Target<E extends Endpoint = Endpoint> {
  readonly endpoint: E
  /** The `ns` parameter, echoed as OCI-Namespace. */
  readonly ns: string | undefined
  /** Any one of these permits the request; none are needed when it is empty. */
  readonly actions: readonly Action[]
  /** Undefined for the base endpoint, which is the mirror's own. */
  readonly upstream: Upstream | undefined
  /** Undefined for the base and the catalog endpoint. */
  readonly place: Place | undefined
  /** The first path segment where it named the upstream: it stands before every name that the client is told. */
  readonly segment: string | undefined
  /** Of an upload in progress. */
  readonly session: UploadSession | undefined
}

/** A target of one kind of endpoint that is about a repository. */
export type RepositoryTarget<K extends EndpointKind> = Target<Extract<Endpoint, { kind: K }>> & {
  readonly place: Place
}

/** Finds out what a parsed request means under the rules in force; throws an OciError where it means nothing. */
export function resolveTarget(
  method: string,
  { endpoint, ns }: ParsedRequest,
  host: string,
  upstreams: UpstreamTable,
  sessions: UploadSessions,
): Target {
  const actions = actionsFor(method, endpoint)
  if (endpoint.kind === 'base' && ns === undefined) {
    return {
      endpoint,
      ns,
      actions,
      upstream: undefined,
      place: undefined,
      segment: undefined,
      session: undefined,
    }
  }
  if (endpoint.kind === 'upload') return resolveUpload(endpoint, ns, actions, upstreams, sessions)

  const name = 'name' in endpoint ? endpoint.name : undefined
  const selected = upstreams.select({ ns, host, name })
  if (selected instanceof OciError) throw selected
  const { upstream, repository, segment } = selected
  const place = repository === undefined ? undefined : placeOf(upstream, repository)
  return { endpoint, ns, actions, upstream, place, segment, session: undefined }
}

/** An upload goes on where it began, whatever the request would mean by itself. */
function resolveUpload(
  endpoint: Extract<Endpoint, { kind: 'upload' }>,
  ns: string | undefined,
  actions: readonly Action[],
  upstreams: UpstreamTable,
  sessions: UploadSessions,
): Target {
  const session = sessions.open(endpoint.session)
  const upstream = session && upstreams.byName(session.upstream)
  const upstreamRepository = session && parseRepository(session.repository)
  if (!session || session.name !== endpoint.name || !upstream || !upstreamRepository) throw unknownUpload()
  if (session.registry !== upstream.ecr.host) throw unknownUpload()
  const repository = withoutPrefix(upstream, upstreamRepository)
  if (!repository) throw unknownUpload()
  return {
    endpoint,
    ns,
    actions,
    upstream,
    place: { upstream, repository, upstreamRepository },
    segment: undefined,
    session,
  }
}

export function unknownUpload(): OciError {
  return new OciError(
    'BLOB_UPLOAD_UNKNOWN',
    'There is no such upload session on this mirror: it has ended, broke off, or is not yours. Start the upload anew.',
  )
}

/** Where a repository stands at an upstream. Throws when its full name is too long. */
export function placeOf(upstream: Upstream, repository: Repository): Place {
  const { repositoryPrefix } = upstream
  const upstreamRepository =
    repositoryPrefix === '' ? repository : parseRepository(`${repositoryPrefix}/${repository}`)
  if (!upstreamRepository) {
    throw new OciError(
      'NAME_INVALID',
      'The repository name is too long with the prefix that the mirror puts before it.',
    )
  }
  return { upstream, repository, upstreamRepository }
}

/** The name under which grants and clients know a repository of the upstream; undefined outside the prefix. */
export function withoutPrefix(
  { repositoryPrefix }: Pick<Upstream, 'repositoryPrefix'>,
  upstreamRepository: Repository,
): Repository | undefined {
  if (repositoryPrefix === '') return upstreamRepository
  const prefix = `${repositoryPrefix}/`
  return upstreamRepository.startsWith(prefix)
    ? parseRepository(upstreamRepository.slice(prefix.length))
    : undefined
}

function actionsFor(method: string, endpoint: Endpoint): readonly Action[] {
  switch (endpoint.kind) {
    case 'base':
      return []
    case 'catalog':
      return ['catalog']
    case 'tags':
    case 'referrers':
      return ['pull']
    case 'uploads':
    case 'upload':
      return ['push']
    case 'blob':
    case 'manifest':
      if (method === 'DELETE') return ['delete']
      if (method === 'PUT') return ['push']
      // A push begins with asking what is there already.
      return method === 'HEAD' ? ['pull', 'push'] : ['pull']
  }
}
