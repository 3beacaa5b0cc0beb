import { createHash, createHmac, randomBytes } from 'node:crypto'

/** Who signs the layer URLs; made up anew for every stand-in. */
export interface Signer {
  readonly accessKeyId: string
  readonly secretKey: string
  readonly sessionToken: string
}

export function newSigner(): Signer {
  return {
    accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretKey: randomBytes(30).toString('base64'),
    sessionToken: randomBytes(720).toString('base64'),
  }
}

/** Path and query of a GET that is signed for `host` (AWS Signature Version 4, query parameters, only host signed). */
export function presign(
  signer: Signer,
  target: { host: string; path: string; region: string; ttlSeconds: number },
): string {
  const date = amzDate(new Date())
  const parameters: [string, string][] = [
    ['X-Amz-Security-Token', signer.sessionToken],
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Date', date],
    ['X-Amz-SignedHeaders', 'host'],
    ['X-Amz-Expires', String(target.ttlSeconds)],
    ['X-Amz-Credential', `${signer.accessKeyId}/${date.slice(0, 8)}/${target.region}/s3/aws4_request`],
  ]
  const signature = sign(signer, 'GET', target.host, target.path, parameters)
  return `${target.path}?${[...parameters, ['X-Amz-Signature', signature] as const].map(pair).join('&')}`
}

export type Verdict = 'good' | 'unsigned' | 'wrong signature' | 'expired'

export function verify(
  signer: Signer,
  request: { method: string; host: string; path: string; query: URLSearchParams },
): Verdict {
  const { method, host, path, query } = request
  const given = query.get('X-Amz-Signature')
  if (given === null) return 'unsigned'
  const parameters = [...query].filter(([name]) => name !== 'X-Amz-Signature')
  if (sign(signer, method, host, path, parameters) !== given) return 'wrong signature'
  const signedAt = Date.parse(isoDate(query.get('X-Amz-Date') ?? ''))
  return signedAt + Number(query.get('X-Amz-Expires')) * 1000 <= Date.now() ? 'expired' : 'good'
}

function sign(
  signer: Signer,
  method: string,
  host: string,
  path: string,
  parameters: [string, string][],
): string {
  const canonicalQuery = parameters.map(pair).sort().join('&')
  const canonical = [method, path, canonicalQuery, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n')
  const [, day = '', region = ''] = (
    parameters.find(([name]) => name === 'X-Amz-Credential')?.[1] ?? ''
  ).split('/')
  const date = parameters.find(([name]) => name === 'X-Amz-Date')?.[1] ?? ''
  const scope = `${day}/${region}/s3/aws4_request`
  const text = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join(
    '\n',
  )
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${signer.secretKey}`)
  return createHmac('sha256', key).update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function pair([name, value]: readonly [string, string]): string {
  return `${name}=${encodeURIComponent(value).replace(/[!'()*]/g, each => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)}`
}

function amzDate(date: Date): string {
  return date.toISOString().replace(/[-:]|\.\d{3}/g, '')
}

function isoDate(text: string): string {
  return text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
}
