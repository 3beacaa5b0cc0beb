import type { Knobs } from './knobs.js'
import { cut, type Exchange } from './server.js'
import type { RepositoryVisit, Visit } from './stand.js'

type Headers = Record<string, string | number>

/** Answers with what every registry answer has on it; HEAD gets the headers of GET. */
export function reply(
  { request, response, knobs }: Exchange & { knobs: Knobs },
  status: number,
  headers: Headers = {},
  body: string | Buffer = '',
): void {
  response.writeHead(status, {
    'Docker-Distribution-Api-Version': 'registry/2.0',
    ...(knobs.sizesHeader && { Sizes: '' }),
    ...(status < 400 && knobs.warnings.length > 0 && { Warning: knobs.warnings }),
    ...headers,
    ...(status !== 204 && { 'Content-Length': headers['Content-Length'] ?? Buffer.byteLength(body) }),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** An error as the distribution-spec words it; without a body on HEAD. */
export function fail(
  exchange: Exchange & { knobs: Knobs },
  status: number,
  code: string,
  message: string,
  headers: Headers = {},
): void {
  const body = exchange.request.method === 'HEAD' ? '' : JSON.stringify({ errors: [{ code, message }] })
  reply(
    exchange,
    status,
    { ...headers, ...(body && { 'Content-Type': 'application/json; charset=utf-8' }) },
    body,
  )
}

export function repositoryMissing(visit: RepositoryVisit): void {
  if (
    visit.knobs.missingRepo === 'drop' &&
    visit.request.method !== 'GET' &&
    visit.request.method !== 'HEAD'
  ) {
    cut(visit)
    return
  }
  const text = `The repository with name '${visit.name}' does not exist in the registry with id '${visit.registry.account}'`
  fail(visit, 404, 'NAME_UNKNOWN', text)
}

/** A URL on this registry as Location and Link have it: ECR's is absolute. */
export function urlOf(visit: Visit, path: string, form = visit.knobs.location): string {
  if (form === 'rel') return path
  const host = visit.request.headers.host ?? visit.registry.host
  const real = !/^(?:127\.0\.0\.1|localhost)(?::|$)/.test(host)
  const scheme = real || visit.secure ? 'https' : 'http'
  return `${scheme}://${form === 'abs443' && real ? `${host.replace(/:\d+$/, '')}:443` : host}${path}`
}
