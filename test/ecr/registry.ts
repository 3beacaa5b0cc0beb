import { deleteBlob, readBlob } from './blobs.js'
import { catalog, listReferrers, listTags } from './discovery.js'
import { playFaults } from './faults.js'
import type { Action } from './knobs.js'
import { deleteManifest, putManifest, readManifest } from './manifests.js'
import { admittedToPublic, giveBearer } from './public.js'
import { fail, reply } from './reply.js'
import type { Exchange } from './server.js'
import type { RepositoryVisit, Stand, Visit } from './stand.js'
import type { Token } from './tokens.js'
import { abortUpload, finishUpload, patchUpload, startUpload, uploadStatus } from './uploads.js'

interface Route {
  action: Action
  /** The repository's name; empty where there is none. */
  name: string
  serve: (visit: RepositoryVisit) => Promise<void> | void
}

/** The registry API under /v2/, behind the door of its Host and its Basic credentials. */
export async function handleRegistry(stand: Stand, exchange: Exchange): Promise<void> {
  const { request, record } = exchange
  const { knobs } = stand
  if (exchange.path === '/token/') {
    if (!(await playFaults(exchange, knobs, 'BearerToken'))) giveBearer(stand, exchange)
    return
  }
  const route = routeOf(request.method ?? '', exchange.path)
  record.action = route?.action
  if (route && (await playFaults(exchange, knobs, route.action))) return

  const host = request.headers.host ?? ''
  const outside = { ...exchange, knobs }
  const registry = stand.accounts.byHost(host, knobs.loopbackHost)
  if (!registry) {
    fail(outside, 403, 'DENIED', `Could not resolve registry id from host ${host}`)
    return
  }
  record.account = registry.account
  record.region = registry.region
  if (!exchange.path.startsWith('/v2')) {
    fail(outside, 404, 'NAME_UNKNOWN', 'Not found')
    return
  }

  const visit: Visit = { ...outside, stand, registry }
  const token = stand.tokens.inHeader(request.headers.authorization)
  record.accessKeyId = token?.accessKeyId
  if (!admitted(visit, token)) return
  if (!route) {
    fail(visit, 404, 'NAME_UNKNOWN', 'Not found')
    return
  }
  const role = stand.roles.get(token?.accessKeyId ?? '')
  if (knobs.iamDenied[route.action] || (role !== undefined && knobs.deniedRoles.includes(role))) {
    const name = role?.split('/').at(-1) ?? 'mirror'
    const text = `User: arn:aws:sts::${registry.account}:assumed-role/${name}/session is not authorized to perform: ecr:${route.action} on resource: arn:aws:ecr:${registry.region}:${registry.account}:repository/${route.name} because no identity-based policy allows the ecr:${route.action} action`
    fail(visit, 403, 'DENIED', text)
    return
  }
  if (!stand.quotas.allow(knobs, route.action, `${registry.account} ${registry.region}`)) {
    fail(visit, 429, 'TOOMANYREQUESTS', 'Rate exceeded')
    return
  }
  await route.serve({ ...visit, name: route.name, repository: registry.repositories.get(route.name) })
}

function admitted(visit: Visit, token: Token | undefined): boolean {
  if (visit.registry.isPublic) return admittedToPublic(visit)
  if (token?.region !== visit.registry.region) {
    challenge(visit)
    return false
  }
  if (token.expiresAt > Date.now()) return true
  if (visit.knobs.expiredStatus === 401) challenge(visit)
  else {
    const text = 'Your authorization token has expired. Reauthenticate and try again.'
    fail(visit, visit.knobs.expiredStatus, 'DENIED', text)
  }
  return false
}

function challenge(visit: Visit): void {
  const realm = `${visit.secure || visit.stand.profile === 'ecr' ? 'https' : 'http'}://${visit.request.headers.host ?? ''}/`
  if (visit.stand.profile === 'spec') {
    fail(visit, 401, 'UNAUTHORIZED', 'authentication required', {
      'WWW-Authenticate': `Basic realm="${realm}"`,
    })
    return
  }
  reply(
    visit,
    401,
    {
      'Www-Authenticate': `Basic realm="${realm}",service="ecr.amazonaws.com"`,
      'Content-Type': 'text/plain; charset=utf-8',
    },
    'Not Authorized\n',
  )
}

/** A repository may be called `blobs` or `tags/list`, so paths are read from their end. */
function routeOf(method: string, path: string): Route | undefined {
  if (path === '/v2' || path === '/v2/') return { action: 'Base', name: '', serve: base }
  if (path === '/v2/_catalog') return { action: 'DescribeRepositories', name: '', serve: catalog }
  const [, name = '', endpoint = '', last = ''] =
    /^\/v2\/(.+)\/(blobs\/uploads)\/?([^/]*)$/.exec(path) ??
    /^\/v2\/(.+)\/(blobs|manifests|referrers|tags)\/([^/]+)$/.exec(path) ??
    []
  const at = (action: Action, serve: Route['serve']): Route => ({ action, name, serve })
  switch (`${method} ${endpoint}`) {
    case 'POST blobs/uploads':
      return last === '' ? at('InitiateLayerUpload', startUpload) : undefined
    case 'PATCH blobs/uploads':
      return at('UploadLayerPart', visit => patchUpload(visit, last))
    case 'PUT blobs/uploads':
      return at('CompleteLayerUpload', visit => finishUpload(visit, last))
    case 'GET blobs/uploads':
      return at('UploadStatus', visit => uploadStatus(visit, last))
    case 'DELETE blobs/uploads':
      return at('AbortUpload', visit => abortUpload(visit, last))
    case 'HEAD blobs':
      return at('BatchCheckLayerAvailability', visit => readBlob(visit, last))
    case 'GET blobs':
      return at('GetDownloadUrlForLayer', visit => readBlob(visit, last))
    case 'DELETE blobs':
      return at('DeleteBlob', visit => deleteBlob(visit, last))
    case 'GET manifests':
    case 'HEAD manifests':
      return at('BatchGetImage', visit => readManifest(visit, last))
    case 'PUT manifests':
      return at('PutImage', visit => putManifest(visit, last))
    case 'DELETE manifests':
      return at('BatchDeleteImage', visit => deleteManifest(visit, last))
    case 'GET referrers':
      return at('ListImageReferrers', visit => listReferrers(visit, last))
    case 'GET tags':
      return last === 'list' ? at('ListImages', listTags) : undefined
    default:
      return undefined
  }
}

function base(visit: Visit): void {
  reply(visit, 200, { 'Content-Type': 'application/json' }, '{}')
}
