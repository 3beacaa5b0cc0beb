import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import { parseRepository } from '../../src/oci/reference.js'
import { CredentialsRefused, ociErrorIn, refusalOf } from '../../src/upstream/dialect.js'
import type { EcrAction } from '../../src/upstream/ecr-action.js'

const refuse = (
  statusCode: number,
  body: string,
  action: EcrAction = 'BatchGetImage',
  headers: Record<string, string> = {},
) =>
  refusalOf(
    { statusCode, headers, body: Readable.from([Buffer.from(body)]) },
    { action, upstream: 'main', repository: parseRepository('team/app') },
  )
const oci = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message }] })

t.test("what is the client's business passes in ECR's words", async t => {
  for (const [status, body] of [
    [404, oci('NAME_UNKNOWN', "The repository with name 'x' does not exist")],
    [400, oci('TAG_INVALID', "The image tag 'v1' already exists and cannot be overwritten")],
    [405, oci('UNSUPPORTED', "Invalid parameter at 'ImageManifest'")],
  ] as const) {
    const error = await refuse(status, body)
    t.equal(error.status, status)
    t.equal(error.toBody(), body, 'to the byte')
  }
})

t.test('words that name the far side do not, nor do words that are no OCI error', async t => {
  for (const leak of [
    'see 1.dkr.ecr.us-east-1.amazonaws.com',
    'arn:aws-cn:iam::1:role/x',
    'https://x.on.aws/',
    'X-Amz-Signature=1',
  ]) {
    const error = await refuse(400, oci('X', leak))
    t.equal(error.status, 400)
    t.notOk(error.toBody().includes(leak), leak)
  }
  for (const body of ['', '<html>', '{}', '{"errors":[]}', '{"errors":[{"code":1}]}', 'null']) {
    t.equal(ociErrorIn(body), undefined, body)
    t.match((await refuse(418, body)).toBody(), /UNSUPPORTED.*status 418/)
  }
})

t.test('words that repeat what the mirror sent do not pass, in any spelling', async t => {
  const token = Buffer.from(`AWS:${randomBytes(1_200).toString('base64')}`).toString('base64')
  const secrets = {
    header: `Authorization: Basic ${token}`,
    token,
    'the password in it': Buffer.from(token, 'base64').toString('latin1'),
    'a part of it': token.slice(500, 700),
    'a token for ECR Public': randomBytes(900).toString('base64'),
    'in lines': token.replace(/.{76}/g, '$&\n'),
    'a signature': 'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ecr/aws4_request',
    'an access key': 'ASIAIOSFODNN7EXAMPLE',
    'a signed URL': 'https://x/?X-Amz-Signature=0123456789',
    host: '1.dkr.ecr.us-east-1.amazonaws.com',
    role: 'arn:aws:iam::123456789012:role/x',
  }
  const escaped = (text: string): string =>
    Array.from(text, each => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
  for (const [what, secret] of Object.entries(secrets)) {
    const bodies = [
      oci('NAME_UNKNOWN', `no: ${secret}`),
      `{"errors":[{"code":"X","message":"${escaped(secret)}"}]}`,
      `{"errors":[{"code":"X","message":"${secret.replaceAll('/', '\\/').replaceAll('\n', '\\n')}"}]}`,
      oci('X', encodeURIComponent(secret)),
      JSON.stringify({ errors: [{ code: 'X', detail: [{ seen: { [secret]: 1 } }] }] }),
      // Of two members of a name one reader takes the first, another the last.
      `{"errors":[{"code":"X","message":${JSON.stringify(secret)},"message":"fine"}]}`,
      JSON.stringify({ errors: [{ code: 'X' }, { code: secret }] }),
    ]
    for (const [index, body] of bodies.entries()) {
      const error = await refuse(400, body)
      t.match(
        error.toBody(),
        /^{"errors":\[{"code":"UNSUPPORTED","message":"The upstream/,
        `${what} ${index}`,
      )
      t.notOk(error.message.includes(secret), what)
    }
  }
})

t.test('long names and digests are no secrets', async t => {
  for (const words of [
    `The repository with name '${'team/a-long_name.7/'.repeat(13)}x' does not exist`,
    `The image with digest sha512:${'0123456789abcdef'.repeat(8)} does not exist`,
    `Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Member must have length less than or equal to 4194304'`,
  ]) {
    const body = oci('X', words)
    t.equal((await refuse(400, body)).toBody(), body)
  }
})

t.test('a 404 without words gets the code of what was asked', async t => {
  for (const [action, code] of [
    ['BatchGetImage', 'MANIFEST_UNKNOWN'],
    ['GetDownloadUrlForLayer', 'BLOB_UNKNOWN'],
    ['BatchCheckLayerAvailability', 'BLOB_UNKNOWN'],
    ['UploadLayerPart', 'BLOB_UPLOAD_UNKNOWN'],
    ['InitiateLayerUpload', 'NAME_UNKNOWN'],
    ['ListImages', 'NAME_UNKNOWN'],
    ['PutImage', 'NAME_UNKNOWN'],
    ['ListImageReferrers', 'UNSUPPORTED'],
    ['DescribeRepositories', 'UNSUPPORTED'],
  ] as const)
    for (const body of ['', '404 page not found\n', '<html><h1>Not Found</h1></html>', '{"errors":[]}']) {
      const refusal = await refuse(404, body, action)
      t.match(refusal, { status: 404, code }, `${action} ${body}`)
      t.match(refusal.message, /upstream "main"/, 'which says who was asked')
    }
})

t.test("401 never: it is the mirror's own credentials that are bad", async t => {
  const error = await refuse(401, 'Not Authorized\n')
  t.match(error, { status: 503, retryAfter: Number })
  t.equal(error.headers['www-authenticate'], undefined)
  t.match(new CredentialsRefused('main').message, /"main" refuses the mirror's own AWS credentials/)
})

t.test('403 names the permission and the request, the role stays in the log', async t => {
  const said =
    'User: arn:aws:sts::1:assumed-role/R/S is not authorized to perform: ecr:BatchImportUpstreamImage on resource: arn:aws:ecr:x'
  const error = await refuse(403, oci('DENIED', said), 'BatchGetImage', { 'x-amzn-requestid': 'abc-1' })
  t.match(error, { status: 403, code: 'DENIED' })
  t.match(
    error.message,
    /lacks ecr:BatchImportUpstreamImage on team\/app of the upstream "main" \(AWS request abc-1\)/,
  )
  t.notMatch(error.toBody(), /arn:|assumed-role/)
  t.same(
    error.cause,
    { status: 403, arns: ['arn:aws:sts::1:assumed-role/R/S'] },
    'and nothing else of the words',
  )
  t.match((await refuse(403, '', 'PutImage')).message, /lacks ecr:PutImage/)
})

t.test('429 with Retry-After, 5xx as what they are', async t => {
  t.match(await refuse(429, oci('TOOMANYREQUESTS', 'Rate exceeded')), { status: 429, retryAfter: 1 })
  t.match(await refuse(429, '', 'PutImage', { 'retry-after': '7' }), { status: 429, retryAfter: 7 })
  t.match(await refuse(429, '', 'PutImage', { 'retry-after': '-1' }), { retryAfter: 1 })
  for (const status of [500, 503, 302, 204]) {
    const error = await refuse(status, 'secret words')
    t.equal(error.status, 502)
    t.notMatch(error.toBody(), /secret/)
  }
})
