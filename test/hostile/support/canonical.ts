import type { RecordedRequest } from '../../ecr/ecr.js'
import type { MirrorUnderTest } from '../../support/mirror.js'
import { atOnce } from './attacks.js'
import { sendAttack, type Outcome, type RawAnswer } from './raw-attack.js'
import { readStrictly, type Reading, type StrictRequest } from './strict-reader.js'

/** Stands in the bytes of an attack for a number of its own, so that each request is another one upstream. */
export const NUMBER = 'x0000000'

/** Stands in the bytes of an attack for the path of an upload that has begun. */
export const UPLOAD = '/v2/team/app/blobs/uploads/session'

/** So many attacks go out before the far side is looked at. */
const BATCH = 400

const NAME = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*'
const DIGEST = '(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})'
const PLAIN_PATH = new RegExp(
  `^/v2/(?:_catalog|${NAME}/(?:tags/list|manifests/(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|${DIGEST})|blobs/${DIGEST}|referrers/${DIGEST}|blobs/uploads/[A-Za-z0-9-]*))$`,
)
const PARAMETERS = ['n', 'last', 'digest', 'digest-algorithm', 'mount', 'from', 'tag', 'artifactType', 'ns']
const METHODS = ['GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE']

const OWN = ['host', 'connection', 'accept-encoding', 'user-agent']
const TO_REGISTRY = [...OWN, 'via', 'authorization', 'accept', 'range']
const WITH_BODY = [...TO_REGISTRY, 'content-type', 'content-length', 'transfer-encoding']
const TO_STORAGE = [...OWN, 'range']

/** Refusals that the mirror makes by itself, before it asks anybody. */
const OWN_STATUS = [401, 408, 411, 414, 415, 417, 431, 501, 505, 508]
const OWN_CODES = ['NAME_INVALID', 'UNSUPPORTED', 'TAG_INVALID']

/**
 * Sends attacks on connections of their own, so many at once, and judges all that comes back and all that goes on: see
 * `judgeAnswer`, `judgeFarSide` and `allowedBy`. Rejects with the attack that shows a defect.
 */
export async function judge(
  mirror: MirrorUnderTest,
  attacks: Iterable<string>,
  { connections = 32, check }: JudgeOptions = {},
): Promise<Tally> {
  await mirror.fetch('/v2/team/app/tags/list')
  const secrets = secretsOf(mirror)
  const tally: Tally = { attacks: 0, answers: 0, accepted: 0, upstream: 0 }
  let allowed = new Map<string, number>()
  let sent: string[] = []
  let upload = ''
  let number = 0

  async function send(attack: string): Promise<void> {
    const bytes = attack
      .replaceAll(NUMBER, `x${String(number++).padStart(7, '0')}`)
      .replaceAll(UPLOAD, upload)
    const reading = readStrictly(bytes)
    sent.push(bytes)
    try {
      const outcome = await sendAttack(mirror.url, bytes, reading)
      for (const answer of outcome.answers) {
        judgeAnswer(answer)
        check?.(answer)
      }
      const told = secrets.filter(secret => outcome.received.includes(secret) && !bytes.includes(secret))
      if (told.length > 0) throw new Error(`it tells ${told.join(', ')}`)
      for (const each of allowedBy(reading, outcome)) allowed.set(each, (allowed.get(each) ?? 0) + 1)
      tally.attacks++
      tally.answers += outcome.answers.length
      tally.accepted += outcome.answers.filter(({ status }) => status < 400).length
    } catch (error) {
      throw new Error(`${String(error)}\non ${JSON.stringify(bytes)}`)
    }
  }

  for (const batch of batchesOf(attacks)) {
    const begun = await mirror.fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
    upload = begun.headers.get('location') ?? ''
    await mirror.ecr.settled()
    mirror.ecr.requests.length = 0
    await atOnce(batch, connections, send)
    await mirror.ecr.settled()
    tally.upstream += judgeFarSide(mirror, allowed, sent)
    allowed = new Map()
    sent = []
  }
  const failures = mirror.log.filter(({ level }) => Number(level) >= 50)
  if (failures.length > 0) throw new Error(`the log tells of ${JSON.stringify(failures[0])}`)
  if ((await mirror.fetch('/v2/')).status !== 200) throw new Error('the mirror serves nobody any more')
  return tally
}

export interface JudgeOptions {
  /** How many attacks are under way at once. */
  readonly connections?: number
  /** What else has to hold of each answer; throws when it does not. */
  readonly check?: (answer: RawAnswer) => void
}

/** What was tried and what became of it. */
export interface Tally {
  attacks: number
  answers: number
  /** Answers that are no refusal. */
  accepted: number
  /** Operations that the registry behind the mirror was asked for. */
  upstream: number
}

/** An answer is never a failure of the mirror, and a refusal is always an OCI error. */
function judgeAnswer({ status, headers, body }: RawAnswer): void {
  if (status >= 500 && ![501, 505, 508].includes(status)) throw new Error(`status ${status}: ${body}`)
  if (headers.get('docker-distribution-api-version') !== 'registry/2.0')
    throw new Error(`status ${status} without the version of the API`)
  if (status >= 400 && body !== '' && codeOf(body) === undefined)
    throw new Error(`status ${status} with ${body}, which is no OCI error`)
}

function codeOf(body: string): string | undefined {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] }
    const [first] = errors ?? []
    return typeof first?.code === 'string' && typeof first.message === 'string' ? first.code : undefined
  } catch {
    return undefined
  }
}

/**
 * What the far side may have been asked for an attack's sake: once for each request that a strict reader sees and the
 * mirror answered without refusing it by itself, and for the one that it may have been at when the connection ended,
 * be that because its body is none; never for what stands behind a refusal that closes the connection.
 */
function allowedBy({ requests, begun }: Reading, { answers }: Outcome): string[] {
  const taken = requests.filter((_request, index) => {
    const answer = answers[index]
    return answer ? !isOwnRefusal(answer) : index === answers.length && !isClosing(answers.at(-1))
  })
  const begins = begun && answers.length >= requests.length && !isClosing(answers[requests.length - 1])
  return [...taken, ...(begins ? [begun] : [])].map(request => askedFor(request))
}

function isOwnRefusal({ status, headers, body }: RawAnswer): boolean {
  return (
    OWN_STATUS.includes(status) ||
    // ECR has a 405 of its own, for manifests that it cannot read.
    (status === 405 && headers.has('allow')) ||
    (status === 400 && OWN_CODES.includes(codeOf(body) ?? ''))
  )
}

function isClosing(answer: RawAnswer | undefined): boolean {
  return answer?.headers.get('connection')?.toLowerCase() === 'close'
}

/** What a request asks for, by the same words on both sides of the mirror, which seals the names of uploads. */
const askedFor = ({ method, target }: Pick<StrictRequest, 'method' | 'target'>): string =>
  target.startsWith('/v2/team/app/blobs/uploads/') && method !== 'POST'
    ? `${method} an upload`
    : `${method} ${target.split('?')[0]}`

/** Looks at all that reached the far side, and gives the number of operations the registry was asked for. */
function judgeFarSide(
  { ecr }: MirrorUnderTest,
  allowed: Map<string, number>,
  sent: readonly string[],
): number {
  let operations = 0
  for (const request of ecr.requests) {
    const problem = problemOf(request)
    if (problem !== undefined) throw new Error(`${problem}: ${describe(request)}`)
    if (request.at !== 'registry') continue
    operations++
    const what = askedFor({ method: request.method, target: request.url })
    const left = allowed.get(what) ?? 0
    if (left === 0) {
      const number = /x\d{7}/.exec(request.url)?.[0]
      const attack = number && sent.find(bytes => bytes.includes(number))
      throw new Error(
        `the far side was asked for what no accepted request asks: ${describe(request)}\non ${JSON.stringify(attack)}`,
      )
    }
    allowed.set(what, left - 1)
  }
  ecr.requests.length = 0
  return operations
}

/** What is wrong with a request that reached the far side, whoever it was for. */
export function problemOf(request: RecordedRequest): string | undefined {
  const { at, method, url, rawHeaders, headers } = request
  if (at === 'api')
    return request.action === 'GetAuthorizationToken' ? undefined : 'an unknown call of the API'
  const names = rawHeaders.filter((_text, index) => index % 2 === 0).map(name => name.toLowerCase())
  if (new Set(names).size < names.length) return 'a header twice'
  if (rawHeaders.some(text => !/^[\x20-\x7e\t]*$/.test(text))) return 'a header that is not printable'
  if (headers['accept-encoding'] !== 'identity') return 'an encoding was asked for'
  if (at === 's3') {
    if (method !== 'GET') return 'storage is only read'
    return names.every(name => TO_STORAGE.includes(name)) ? undefined : 'a header that storage may not see'
  }
  const hasBody = ['POST', 'PATCH', 'PUT'].includes(method)
  const known = hasBody ? WITH_BODY : TO_REGISTRY
  const mayRange = method === 'PATCH' || (method === 'PUT' && url.includes('/uploads/'))
  const stray = names.find(name => !known.includes(name) && !(mayRange && name === 'content-range'))
  if (stray !== undefined) return `the header ${stray}, which a registry may not see`
  if (!METHODS.includes(method)) return 'an unknown method'
  const [path = '', query = ''] = url.split('?')
  if (!PLAIN_PATH.test(path)) return 'a path that is not in its plain form'
  if ([...new URLSearchParams(query).keys()].some(name => !PARAMETERS.includes(name)))
    return 'an unknown parameter'
  if (request.accessKeyId === undefined) return 'credentials that are not the token'
  if ((headers['transfer-encoding'] ?? 'chunked') !== 'chunked') return 'an unknown transfer coding'
  if (!/^\d{1,15}$/.test(headers['content-length'] ?? '0')) return 'a length that is none'
  return undefined
}

function describe({ method, url, rawHeaders }: RecordedRequest): string {
  return JSON.stringify({ method, url, rawHeaders: rawHeaders.map(text => text.slice(0, 100)) })
}

/** What no answer may hold: where the far side is, what it says and the token for it. */
function secretsOf({ ecr }: MirrorUnderTest): string[] {
  const token = ecr.requests.find(({ at }) => at === 'registry')?.headers.authorization
  if (token === undefined) throw new Error('the registry has not been asked yet')
  return [
    ecr.host,
    ecr.s3Host,
    new URL(ecr.url).host,
    'amazonaws',
    'arn:aws',
    'X-Amz',
    token.slice('Basic '.length, 60),
    'node_modules',
    'HPE_',
    'FST_ERR',
  ]
}

function* batchesOf(attacks: Iterable<string>): Generator<string[]> {
  let batch: string[] = []
  for (const attack of attacks) {
    batch.push(attack)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
