import { createHash, randomUUID } from 'node:crypto'
import { readBody, type Exchange } from './server.js'
import type { Stand } from './stand.js'

const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/\d{8}\/[^/,]+\/sts\/aws4_request,/
const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'

/**
 * GetCallerIdentity and AssumeRole, so that the same URL can be AWS_ENDPOINT_URL_STS (AWS query protocol: a form in,
 * XML out).
 */
export async function handleSts(stand: Stand, exchange: Exchange): Promise<void> {
  const { request, response, record } = exchange
  record.at = 'api'
  const form = new URLSearchParams((await readBody(exchange, 64 * 1024))?.toString('utf8'))
  record.account = stand.accounts.first.account
  record.accessKeyId = CREDENTIAL.exec(request.headers.authorization ?? '')?.[1]
  const requestId = randomUUID()
  const [status, body] = answerTo(stand, form, record.accessKeyId, requestId)
  response.writeHead(status, {
    'x-amzn-RequestId': requestId,
    'Content-Type': 'text/xml',
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}

function answerTo(
  stand: Stand,
  form: URLSearchParams,
  accessKeyId: string | undefined,
  requestId: string,
): [status: number, body: string] {
  const action = form.get('Action') ?? ''
  const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`
  const result = (content: string): [number, string] => [
    200,
    `<${action}Response xmlns="${NAMESPACE}"><${action}Result>${content}</${action}Result>${metadata}</${action}Response>`,
  ]
  const refusal = (status: number, code: string, message: string): [number, string] => [
    status,
    `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
  ]
  const { account } = stand.accounts.first
  if (accessKeyId === undefined)
    return refusal(403, 'MissingAuthenticationToken', 'Request is missing Authentication Token')
  if (action === 'GetCallerIdentity') {
    const role = stand.roles.get(accessKeyId)
    const arn = role === undefined ? `arn:aws:iam::${account}:user/mirror` : sessionArn(role, 'mirror')
    return result(`<Arn>${arn}</Arn><UserId>AIDAEXAMPLE</UserId><Account>${account}</Account>`)
  }
  if (action !== 'AssumeRole') return refusal(400, 'InvalidAction', 'Could not find operation')

  const [role, externalId] = [form.get('RoleArn') ?? '', form.get('ExternalId') ?? undefined]
  const wanted = stand.knobs.externalIds[role]
  if (wanted !== undefined && wanted !== externalId) {
    const text = `User: arn:aws:iam::${account}:user/mirror is not authorized to perform: sts:AssumeRole on resource: ${role}`
    return refusal(403, 'AccessDenied', text)
  }
  const key = `ASIA${createHash('sha256').update(role).digest('hex').slice(0, 16).toUpperCase()}`
  stand.roles.set(key, role)
  const expiration = new Date(Date.now() + stand.knobs.roleTtl * 1000).toISOString()
  return result(
    `<Credentials><AccessKeyId>${key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>` +
      `<SessionToken>session</SessionToken><Expiration>${expiration}</Expiration></Credentials>` +
      `<AssumedRoleUser><Arn>${sessionArn(role, form.get('RoleSessionName') ?? '')}</Arn>` +
      `<AssumedRoleId>AROAEXAMPLE:mirror</AssumedRoleId></AssumedRoleUser>`,
  )
}

function sessionArn(role: string, session: string): string {
  const [, account = '', name = ''] = /^arn:aws[^:]*:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/.exec(role) ?? []
  return `arn:aws:sts::${account}:assumed-role/${name}/${session}`
}
