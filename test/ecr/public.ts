import type { Exchange } from './server.js'
import { fail, reply } from './reply.js'
import type { Stand, Visit } from './stand.js'

/**
 * Where ECR Public gives out bearer tokens: to whoever asks, and to who shows a token of the API as one that may push.
 * AWS: "Registry authentication in Amazon ECR public".
 */
export function giveBearer(stand: Stand, exchange: Exchange): void {
  const { request, response, record, query } = exchange
  const registry = stand.accounts.byHost(request.headers.host ?? '', stand.knobs.loopbackHost)
  record.action = 'BearerToken'
  if (!registry?.isPublic || query.get('service') !== 'public.ecr.aws' || query.get('scope') !== 'aws') {
    response.writeHead(404).end()
    return
  }
  const { authorization } = request.headers
  const shown = stand.tokens.inHeader(authorization)
  record.accessKeyId = shown?.accessKeyId
  if (authorization !== undefined && (!shown || shown.expiresAt <= Date.now())) {
    response.writeHead(401, { 'Content-Type': 'text/plain; charset=utf-8' }).end('Not Authorized\n')
    return
  }
  const { text } = stand.tokens.mintBearer(registry, shown?.accessKeyId, stand.knobs.tokenTtl)
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ token: text }))
}

/**
 * The door of ECR Public. One that has expired or is wrong is told so by 400, without a challenge
 * (aws/containers-roadmap 2835).
 */
export function admittedToPublic(visit: Visit): boolean {
  const { authorization, host } = visit.request.headers
  if (authorization === undefined) {
    const challenge = `Bearer realm="https://${host ?? ''}/token/",service="public.ecr.aws",scope="aws"`
    const headers = { 'Www-Authenticate': challenge, 'Content-Type': 'text/plain; charset=utf-8' }
    reply(visit, 401, headers, 'Not Authorized\n')
    return false
  }
  const token = visit.stand.tokens.bearerInHeader(authorization)
  visit.record.accessKeyId = token?.accessKeyId
  if (!token || token.expiresAt <= Date.now()) {
    fail(visit, 400, 'UNKNOWN', 'Bad Request')
    return false
  }
  const reads = visit.request.method === 'GET' || visit.request.method === 'HEAD'
  if (reads || token.accessKeyId !== undefined) return true
  fail(visit, 403, 'DENIED', 'Your Authorization Token is invalid.')
  return false
}
