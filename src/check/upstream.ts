import { CredentialsRefused, ociErrorIn } from '../upstream/dialect.js'
import { outboundHeaders } from '../upstream/headers.js'
import { readBody } from '../upstream/read-body.js'
import type { Upstream } from '../upstream/upstream.js'
import { askBare, type BareAnswer } from './bare-request.js'
import { readClock, type ClockReading } from './clock.js'
import { failureOf, type Failure } from './failure.js'
import { isOwnLogin } from './own-login.js'
import { failed, ok, skipped, type Finding } from './finding.js'

export interface CheckedUpstream {
  readonly finding: Finding
  /** The registry's clock, if it answered. */
  readonly clock: ClockReading | undefined
}

/** RFC 5842, section 7.2: what a mirror answers to a request of its own. */
const LOOP_DETECTED = 508

/** Whether a registry answers, takes the token, and how fast. Without a token, whether it can be reached at all. */
export async function checkUpstream(
  upstream: Upstream,
  hasToken: boolean,
  signal: AbortSignal,
): Promise<CheckedUpstream> {
  const name = `upstream ${upstream.name}`
  const { settings } = upstream
  const began = performance.now()
  try {
    const answer = hasToken ? await askWithToken(upstream, signal) : await askBare(settings, signal)
    const ms = Math.round(performance.now() - began)
    const clock = readClock(`the upstream ${upstream.name}`, answer.headers.date)
    return { finding: judge(name, answer, { settings, hasToken, ms }), clock }
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error
    if (cause instanceof CredentialsRefused) return refusedToken(name, upstream, signal)
    return { finding: unreachable(name, failureOf(cause), settings), clock: undefined }
  }
}

async function askWithToken({ send }: Upstream, signal: AbortSignal): Promise<BareAnswer> {
  const answer = await send({
    action: 'GetAuthorizationToken',
    method: 'GET',
    path: '/v2/',
    headers: outboundHeaders({}, []),
    signal,
    patience: 0,
  })
  const text = (await readBody(answer.body, 16 * 1024))?.toString('utf8') ?? ''
  return { status: answer.statusCode, headers: answer.headers, text }
}

interface About {
  readonly settings: Upstream['settings']
  readonly hasToken: boolean
  readonly ms: number
}

function judge(name: string, answer: BareAnswer, { settings, hasToken, ms }: About): Finding {
  const { status, text } = answer
  const said = ociErrorIn(text)?.message
  const words = said === undefined || said === '' ? '' : `: ${said.slice(0, 300)}`
  const told = `GET /v2/ ${status} in ${ms} ms`
  if (status === LOOP_DETECTED || isOwnLogin(answer.headers)) return loop(name, settings)
  if (!isRegistry(answer))
    return failed(
      name,
      `${told}, which is not the answer of a registry`,
      `check ${settings.endpoint === undefined ? `what ${settings.host} resolves to here, and a proxy on the way` : `endpoint ${settings.endpoint}`}`,
    )
  if (status === 200) return ok(name, `${told}, connection included`)
  if (!hasToken && status === 401) return skipped(name, `there is no token; without one it answers, ${told}`)
  if (status === 401 || status === 403)
    return failed(
      name,
      `${told}${words}`,
      'the identity may not use this registry: check host and region, the policies of the role, and the policy of a VPC endpoint ecr.dkr',
    )
  return failed(
    name,
    `${told}${words}`,
    'that is the registry failing; see whether it passes (AWS Health Dashboard)',
  )
}

/** A 401 to a token that was just issued: another registry than it is for, or none of ECR's. */
async function refusedToken(name: string, upstream: Upstream, signal: AbortSignal): Promise<CheckedUpstream> {
  const bare = await askBare(upstream.settings, signal).catch(() => undefined)
  const clock = bare && readClock(`the upstream ${upstream.name}`, bare.headers.date)
  const { settings } = upstream
  if (bare && (bare.status === LOOP_DETECTED || isOwnLogin(bare.headers)))
    return { finding: loop(name, settings), clock }
  const finding = failed(
    name,
    'the registry refuses the token (401)',
    'it is a registry of another partition or region than the token is for, or none of ECR: check host, endpoint, credentials and the clock',
  )
  return { finding, clock }
}

/** ECR answers 401 without the header that says which protocol this is, but with a realm. */
function isRegistry({ status, headers, text }: BareAnswer): boolean {
  if (headers['docker-distribution-api-version'] !== undefined) return true
  if (status === 401) return headers['www-authenticate'] !== undefined
  return status !== 200 && ociErrorIn(text) !== undefined
}

function loop(name: string, { host, endpoint }: Upstream['settings']): Finding {
  return failed(
    name,
    'a mirror like this one answers there, so requests would go round in a circle',
    endpoint === undefined
      ? `${host} resolves to the mirror here: take that name out of its /etc/hosts or DNS, or set endpoint to the VPC endpoint's own name`
      : `endpoint ${endpoint} is the mirror's own address; it has to be the registry's or its VPC endpoint's`,
  )
}

function unreachable(name: string, { kind, detail }: Failure, settings: Upstream['settings']): Finding {
  const place = settings.endpoint ?? `https://${settings.host}`
  return failed(name, `${WHAT[kind].replace('%', place)}: ${detail}`, ADVICE[kind])
}

const WHAT: Readonly<Record<Failure['kind'], string>> = {
  dns: 'the name in % does not resolve',
  refused: '% refuses connections',
  slow: '% does not answer in time',
  broken: '% closes connections without an answer',
  certificate: 'the TLS certificate of % is not trusted',
  'no-tls': '% does not speak TLS',
  internal: '% leads to an internal address, to which nothing connects unasked',
  proxy: '% cannot be reached through HTTPS_PROXY',
  other: '% cannot be asked',
}

const ADVICE: Readonly<Record<Failure['kind'], string>> = {
  dns: 'check host and endpoint for typing errors, the DNS servers of this machine, and private DNS of the VPC endpoint ecr.dkr',
  refused: 'check host, endpoint and port, HTTPS_PROXY, and firewalls',
  slow: 'check routes, security groups (port 443), the VPC endpoint ecr.dkr or a NAT gateway, and HTTPS_PROXY',
  broken: 'check proxies and firewalls on the way, and that endpoint has the right scheme (http or https)',
  certificate:
    'a proxy that intercepts: give its authority in NODE_EXTRA_CA_CERTS; an endpoint of another name: it has to have a certificate for the registry host',
  'no-tls':
    'endpoint has to begin with http:// for a server without TLS; look at its port and at HTTPS_PROXY',
  internal: 'if that place is meant, name it as endpoint',
  proxy: 'have the proxy let CONNECT to that host pass, or name the host in NO_PROXY',
  other: 'check host, endpoint and proxies',
}
