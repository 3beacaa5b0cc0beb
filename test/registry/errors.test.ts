import { randomBytes } from 'node:crypto'
import t from 'tap'
import { OciError } from '../../src/oci/error.js'
import { toAnswer } from '../../src/registry/errors.js'
import { authorization, startMirror, USER } from '../support/mirror.js'
import { ask, type PlainAnswer } from '../support/requests.js'
import { Connection } from '../support/connection.js'

const DIGEST = `sha256:${'a'.repeat(64)}`

t.test('a defect of ours is a 500 that says nothing', async t => {
  const answer = toAnswer(new Error('secret'))
  t.equal(answer.status, 500)
  t.notMatch(answer.toBody(), /secret/)
  t.equal(toAnswer('thrown').status, 500)
  const own = new OciError('DENIED', 'no')
  t.equal(toAnswer(own), own)
  for (const [code, status] of [
    ['FST_ERR_CTP_BODY_TOO_LARGE', 413],
    ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 400],
  ] as const) {
    t.equal(toAnswer(Object.assign(new Error('x'), { code })).status, status)
  }
})

t.test('over all routes and ways to fail, nothing of the far side and no secret comes out', async t => {
  const mirror = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false, latency: {} } },
    settings: {
      policy: [{ principals: ['*'], repositories: ['**'], actions: ['pull', 'push', 'delete', 'catalog'] }],
    },
  })
  const { ecr, url, log } = mirror
  const image = await ecr.putImage('team/app', 'v1')
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  t.ok(image)
  const answers: [string, PlainAnswer][] = []
  const call = async (
    method: string,
    path: string,
    options: { headers?: Record<string, string>; body?: string } = {},
  ): Promise<PlainAnswer> => {
    const body = options.body === undefined ? undefined : Buffer.from(options.body)
    const answer = await ask(url + path, {
      method,
      headers: { authorization, ...(body && { 'content-length': body.length }), ...options.headers },
      ...(body && { body }),
    })
    answers.push([`${method} ${path.slice(0, 60)} ${answer.status}`, answer])
    return answer
  }
  const everything = async (): Promise<void> => {
    for (const method of ['GET', 'HEAD']) {
      await call(method, '/v2/')
      await call(method, '/v2/team/app/manifests/v1')
      await call(method, '/v2/team/app/manifests/none')
      await call(method, `/v2/team/app/manifests/${DIGEST}`)
      await call(method, `/v2/team/app/blobs/${digest}`)
      await call(method, `/v2/team/app/blobs/${DIGEST}`)
      await call(method, '/v2/nowhere/app/manifests/v1')
      await call(method, '/v2/team/app/tags/list?n=1')
      await call(method, '/v2/_catalog?n=1')
      await call(method, `/v2/team/app/referrers/${DIGEST}`)
      await call(method, '/v2/team/app/nothing')
      await call(method, '/')
    }
    await call('GET', `/v2/team/app/blobs/${digest}`, { headers: { range: 'bytes=9999-' } })
    await call('OPTIONS', '/v2/')
    await call('DELETE', `/v2/team/app/blobs/${DIGEST}`)
    await call('PUT', '/v2/team/app/manifests/bad', { body: '{', headers: { 'content-type': 'x/y' } })
    await call('PUT', '/v2/team/app/manifests/bad')
    const begun = await call('POST', '/v2/team/app/blobs/uploads/')
    await call('POST', `/v2/team/app/blobs/uploads/?mount=${digest}&from=team/app`)
    await call('POST', '/v2/nowhere/app/blobs/uploads/')
    const at = begun.headers.location ?? '/v2/team/app/blobs/uploads/x'
    const patched = await call('PATCH', at, { body: 'bytes' })
    const next = patched.headers.location ?? at
    await call('GET', next)
    await call('PATCH', next, { body: 'x', headers: { 'content-range': '77-77' } })
    await call('PUT', `${next}?digest=${DIGEST}`)
    await call('DELETE', next)
    await call('DELETE', '/v2/team/app/manifests/none')
  }
  await everything()
  ecr.knobs.iamDenied = Object.fromEntries(
    [
      'BatchGetImage',
      'GetDownloadUrlForLayer',
      'BatchCheckLayerAvailability',
      'ListImages',
      'PutImage',
      'InitiateLayerUpload',
      'BatchDeleteImage',
      'DescribeRepositories',
      'ListImageReferrers',
    ].map(action => [action, true]),
  )
  await everything()
  ecr.knobs.iamDenied = {}
  ecr.knobs.s3.expired = 100
  await call('GET', `/v2/team/app/blobs/${digest}`)
  ecr.knobs.s3.expired = 0
  const leak = `https://${ecr.host}/?X-Amz-Signature=1 arn:aws:iam::1:role/x`
  for (const status of [400, 401, 404, 405, 409, 418, 500, 302, 204]) {
    for (const action of [
      'BatchGetImage',
      'GetDownloadUrlForLayer',
      'ListImages',
      'InitiateLayerUpload',
      'PutImage',
      'BatchDeleteImage',
    ] as const) {
      ecr.knobs.answer[action] = [
        {
          status,
          times: 3,
          headers: {
            'X-Amz-Leak': leak,
            Location: leak,
            Warning: leak,
            'Www-Authenticate': `Basic realm="${leak}"`,
          },
          body: status === 204 ? '' : JSON.stringify({ errors: [{ code: 'X', message: leak }] }),
        },
      ]
    }
    await call('GET', '/v2/team/app/manifests/v1')
    await call('GET', `/v2/team/app/blobs/${digest}`)
    await call('GET', '/v2/team/app/tags/list')
    await call('POST', '/v2/team/app/blobs/uploads/')
    await call('PUT', '/v2/team/app/manifests/v9', { body: '{}', headers: { 'content-type': 'x/y' } })
    await call('DELETE', '/v2/team/app/manifests/v1')
    ecr.knobs.answer = {}
  }
  await call('GET', '/v2/', { headers: { authorization: 'Basic eDp5' } })

  const tokens = ecr.requests.flatMap(({ at, headers }) =>
    at === 'registry' ? [headers.authorization ?? ''] : [],
  )
  const secrets = [
    ...new Set(tokens.filter(token => token !== '').map(token => token.slice('Basic '.length, 200))),
    USER.password,
    authorization.slice('Basic '.length),
  ]
  const far = [
    /amazonaws/i,
    /x-amz/i,
    /arn:/i,
    new RegExp(ecr.s3Host),
    new RegExp(new URL(ecr.url).host),
    ...secrets,
  ]
  const hits = (text: string, what: readonly (RegExp | string)[]): string[] =>
    what.filter(each => (typeof each === 'string' ? text.includes(each) : each.test(text))).map(String)
  for (const [what, { status, headers, bytes }] of answers) {
    const blob = status === 200 && what.includes('/blobs/sha256')
    const text = `${JSON.stringify(headers)}\n${blob ? '' : bytes.toString('utf8')}`
    t.same(hits(text, far), [], what)
    const values = Object.entries(headers).filter(
      ([, value]) => value === undefined || /undefined|null|NaN/.test(String(value)),
    )
    t.same(values, [], `${what}: no header without a value`)
    t.equal(headers['docker-distribution-api-version'], 'registry/2.0', what)
    t.equal(
      / 401$/.test(what),
      headers['www-authenticate'] !== undefined,
      `${what}: a challenge with each 401 and only there`,
    )
    if (status >= 400 && !what.startsWith('HEAD'))
      t.match(JSON.parse(bytes.toString()), { errors: [{ code: String, message: String }] }, what)
    t.not(status, 500, what)
  }
  const written = JSON.stringify(log)
  t.same(
    hits(written, [...secrets, /X-Amz-(?:Signature|Credential|Security)=(?!1 arn)/]),
    [],
    'nor into the log',
  )
  t.ok(answers.length > 130)
})

t.test('one connection after every kind of failure: each answer belongs to its request', async t => {
  const { url, ecr } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  const auth = `Host: m\r\nAuthorization: ${authorization}\r\n`
  const requests: [string, number][] = [
    [`GET /v2/ HTTP/1.1\r\nHost: m\r\n\r\n`, 401],
    [`GET /v2/team/app/manifests/none HTTP/1.1\r\n${auth}\r\n`, 404],
    [`HEAD /v2/team/app/manifests/none HTTP/1.1\r\n${auth}\r\n`, 404],
    [`HEAD /v2/team/app/tags/list HTTP/1.1\r\n${auth}\r\n`, 405],
    [`HEAD /v2/team/app/manifests/v1 HTTP/1.1\r\n${auth}\r\n`, 200],
    [`PUT /v2/team/app/manifests/v2 HTTP/1.1\r\n${auth}Content-Length: 1\r\n\r\n{`, 400],
    [
      `PATCH /v2/team/app/blobs/uploads/x HTTP/1.1\r\n${auth}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n`,
      404,
    ],
    [`DELETE /v2/team/app/manifests/v1 HTTP/1.1\r\n${auth}Content-Length: 3\r\n\r\nabc`, 403],
    [`GET /v2/team/app/blobs/${DIGEST} HTTP/1.1\r\n${auth}Range: bytes=5-\r\n\r\n`, 404],
    [`POST /v2/nowhere/blobs/uploads/ HTTP/1.1\r\n${auth}Content-Length: 0\r\n\r\n`, 404],
    [`GET /v2/team%2Fapp/tags/list HTTP/1.1\r\n${auth}\r\n`, 400],
    [`GET /v2/ HTTP/1.1\r\n${auth}Connection: close\r\n\r\n`, 200],
  ]
  const pipelined = new Connection(url)
  pipelined.socket.write(requests.map(([bytes]) => bytes).join(''))
  const expected = requests.map(([, status]) => `HTTP/1.1 ${status}`)
  t.same((await pipelined.closed).match(/HTTP\/1\.1 \d{3}/g), expected, 'all at once')

  const old = new Connection(url)
  old.socket.write(`GET /v2/team/app/tags/list HTTP/1.0\r\n${auth}\r\n`)
  t.match(await old.closed, /^HTTP\/1\.1 200[\s\S]*content-length: \d+[\s\S]*"tags":\["v1"\]}$/i, 'HTTP/1.0')
})
