import { randomUUID } from 'node:crypto'
import { readBody, type Exchange } from './server.js'
import type { Stand } from './stand.js'

const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/\d{8}\/[^/,]+\/sts\/aws4_request,/

/** GetCallerIdentity, so that the same URL can be AWS_ENDPOINT_URL_STS (AWS query protocol: a form in, XML out). */
export async function handleSts(stand: Stand, exchange: Exchange): Promise<void> {
  const { request, response, record } = exchange
  record.at = 'api'
  const form = new URLSearchParams((await readBody(exchange, 64 * 1024))?.toString('utf8'))
  const { account } = stand.accounts.first
  record.account = account
  record.accessKeyId = CREDENTIAL.exec(request.headers.authorization ?? '')?.[1]
  const requestId = randomUUID()
  const known = form.get('Action') === 'GetCallerIdentity' && record.accessKeyId !== undefined
  const body = known
    ? `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::${account}:user/mirror</Arn><UserId>AIDAEXAMPLE</UserId><Account>${account}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></GetCallerIdentityResponse>`
    : `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`
  response.writeHead(known ? 200 : 400, {
    'x-amzn-RequestId': requestId,
    'Content-Type': 'text/xml',
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}
