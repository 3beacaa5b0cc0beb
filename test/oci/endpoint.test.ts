import fc from 'fast-check'
import t from 'tap'
import {
  METHODS,
  parseRequest,
  pathOf,
  queryOf,
  ROUTES,
  type Endpoint,
  type EndpointKind,
} from '../../src/oci/endpoint.js'
import { OciError } from '../../src/oci/error.js'

const HEX = '0123456789abcdef'.repeat(4)
const DIGEST = `sha256:${HEX}`
const DIGEST_512 = `sha512:${HEX}${HEX}`
const ALL_METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'get',
  '',
]

function endpointOf(method: string, target: string): Endpoint {
  const parsed = parseRequest(method, target)
  if (parsed instanceof OciError) throw new Error(`${method} ${target}: ${parsed.status} ${parsed.message}`)
  return parsed.endpoint
}

function refusalOf(method: string, target: string): OciError | undefined {
  const parsed = parseRequest(method, target)
  return parsed instanceof OciError ? parsed : undefined
}

t.test('each request of the API is told by its path', t => {
  const cases: readonly (readonly [method: string, target: string, endpoint: object])[] = [
    ['GET', '/v2/', { kind: 'base' }],
    ['GET', '/v2', { kind: 'base' }],
    ['HEAD', '/v2/', { kind: 'base' }],
    ['GET', '/v2/_catalog', { kind: 'catalog' }],
    ['GET', '/v2/_catalog?n=10&last=a%2Fb', { kind: 'catalog', n: 10, last: 'a/b' }],
    ['GET', '/v2/a/b/tags/list', { kind: 'tags', name: 'a/b' }],
    ['GET', '/v2/a/tags/list?n=0&last=v1', { kind: 'tags', name: 'a', n: 0, last: 'v1' }],
    ['GET', `/v2/a/referrers/${DIGEST}`, { kind: 'referrers', name: 'a', digest: DIGEST }],
    [
      'GET',
      `/v2/a/referrers/${DIGEST}?artifactType=application%2Fspdx%2Bjson`,
      { kind: 'referrers', name: 'a', digest: DIGEST, artifactType: 'application/spdx+json' },
    ],
    [
      'GET',
      '/v2/a/b/manifests/latest',
      { kind: 'manifest', name: 'a/b', reference: { tag: 'latest' }, tags: [] },
    ],
    [
      'HEAD',
      `/v2/a/manifests/${DIGEST_512}`,
      { kind: 'manifest', name: 'a', reference: { digest: DIGEST_512 }, tags: [] },
    ],
    [
      'PUT',
      `/v2/a/manifests/${DIGEST}?tag=v1&tag=v2&tag=v1`,
      { kind: 'manifest', name: 'a', reference: { digest: DIGEST }, tags: ['v1', 'v2'] },
    ],
    [
      'DELETE',
      `/v2/a/manifests/${DIGEST}`,
      { kind: 'manifest', name: 'a', reference: { digest: DIGEST }, tags: [] },
    ],
    ['GET', `/v2/a/blobs/${DIGEST}`, { kind: 'blob', name: 'a', digest: DIGEST }],
    ['POST', '/v2/a/blobs/uploads/', { kind: 'uploads', name: 'a' }],
    ['POST', `/v2/a/blobs/uploads/?digest=sha256%3A${HEX}`, { kind: 'uploads', name: 'a', digest: DIGEST }],
    [
      'POST',
      '/v2/a/blobs/uploads/?digest-algorithm=sha512',
      { kind: 'uploads', name: 'a', digestAlgorithm: 'sha512' },
    ],
    [
      'POST',
      `/v2/a/blobs/uploads/?mount=${DIGEST}&from=b%2Fc`,
      { kind: 'uploads', name: 'a', mount: DIGEST, from: 'b/c' },
    ],
    ['PATCH', '/v2/a/blobs/uploads/aB_-9', { kind: 'upload', name: 'a', session: 'aB_-9' }],
    [
      'PUT',
      `/v2/a/blobs/uploads/s?digest=${DIGEST}`,
      { kind: 'upload', name: 'a', session: 's', digest: DIGEST },
    ],
    ['GET', '/v2/a/blobs/uploads/s', { kind: 'upload', name: 'a', session: 's' }],
    ['DELETE', '/v2/a/blobs/uploads/s', { kind: 'upload', name: 'a', session: 's' }],
  ]
  for (const [method, target, endpoint] of cases)
    t.same(endpointOf(method, target), endpoint, `${method} ${target}`)
  t.end()
})

t.test('repositories may be called like parts of the API', t => {
  const cases: readonly (readonly [target: string, kind: EndpointKind, name: string])[] = [
    ['/v2/manifests/manifests/manifests', 'manifest', 'manifests'],
    ['/v2/tags/tags/list', 'tags', 'tags'],
    ['/v2/tags/list/tags/list', 'tags', 'tags/list'],
    ['/v2/tags/list/manifests/list', 'manifest', 'tags/list'],
    ['/v2/list/manifests/tags', 'manifest', 'list'],
    ['/v2/blobs/manifests/uploads', 'manifest', 'blobs'],
    ['/v2/a/blobs/uploads/manifests/x', 'manifest', 'a/blobs/uploads'],
    ['/v2/a/blobs/uploads/tags/list', 'tags', 'a/blobs/uploads'],
    ['/v2/blobs/uploads/blobs/uploads/s', 'upload', 'blobs/uploads'],
    ['/v2/uploads/blobs/uploads/uploads', 'upload', 'uploads'],
    [`/v2/blobs/blobs/${DIGEST}`, 'blob', 'blobs'],
    [`/v2/uploads/blobs/${DIGEST}`, 'blob', 'uploads'],
    [`/v2/referrers/referrers/${DIGEST}`, 'referrers', 'referrers'],
    [`/v2/a/blobs/referrers/${DIGEST}`, 'referrers', 'a/blobs'],
    ['/v2/v2/manifests/v2', 'manifest', 'v2'],
  ]
  for (const [target, kind, name] of cases) {
    const endpoint = endpointOf('GET', target)
    t.equal(endpoint.kind, kind, target)
    t.equal('name' in endpoint && endpoint.name, name, target)
  }
  t.equal(refusalOf('GET', '/v2/blobs/uploads/s')?.code, 'NAME_INVALID', 'without a repository')
  t.equal(refusalOf('POST', '/v2/blobs/uploads/')?.code, 'NAME_INVALID')
  t.equal(refusalOf('GET', '/v2/tags/list')?.code, 'NAME_INVALID')
  t.end()
})

t.test('a path that is not the plain form of an API path goes nowhere', t => {
  const plain = '/v2/team/app/manifests/latest'
  t.equal(endpointOf('GET', plain).kind, 'manifest')
  const hostile = [
    plain.replace('team/', 'team%2f'),
    plain.replace('team/', 'team%2F'),
    plain.replace('team/', 'team%252f'),
    plain.replace('team/', 'team\\'),
    plain.replace('team/', 'team%5c'),
    plain.replace('team', '%74eam'),
    plain.replace('team', '%zz'),
    plain.replace('team', '%'),
    plain.replace('team/', 'team//'),
    plain.replace('team/', 'team/./'),
    plain.replace('team/', 'team/../'),
    plain.replace('team/', 'team/.../'),
    plain.replace('team/', 'team/%2e%2e/'),
    plain.replace('team/', 'team/..;/'),
    plain.replace('team', 'team;x=1'),
    plain.replace('team', 'team\0'),
    plain.replace('team', 'team%00'),
    plain.replace('team', 'team\r\nX-Evil: 1'),
    plain.replace('team', 'team\t'),
    plain.replace('team', 'te am'),
    plain.replace('team', 'te+am'),
    plain.replace('team', 'täm'),
    plain.replace('team', 'tеam'),
    plain.replace('team', 'TEAM'),
    plain.replace('team', '~team'),
    plain.replace('team', "te'am"),
    plain.replace('team', '{team}'),
    plain.replace('team/app', '.team/app'),
    plain.replace('team/app', 'team/app.'),
    plain.replace('/v2/', '/v2//'),
    plain.replace('/v2/', '//v2/'),
    plain.replace('/v2/', '/V2/'),
    plain.replace('/v2/', '/v1/'),
    plain.replace('/v2/', '/./v2/'),
    plain.replace('/v2/', '/x/../v2/'),
    plain.replace('/v2/', '/v2'),
    plain.replace('/v2/', 'v2/'),
    plain.replace('manifests/', 'manifests//'),
    plain.replace('latest', '..'),
    plain.replace('latest', '.'),
    plain.replace('latest', ''),
    plain.replace('latest', 'latest/'),
    plain.replace('latest', 'latest%20'),
    plain.replace('latest', '@latest'),
    plain.replace('latest', `sha256%3a${HEX}`),
    `${plain}#fragment`,
    `${plain}/..`,
    `//evil.example${plain}`,
    `http://evil.example${plain}`,
    `https://evil.example/v2/`,
    `evil.example:443`,
    `*`,
    '',
    '/',
    '/v2/..',
    '/v2/_catalog/',
    '/v2/_Catalog',
    '/v2/a/_catalog',
    '/v2/a',
    '/v2/a/',
    '/v2/a/manifests',
    '/v2/a/tags/',
    '/v2/a/tags/list/',
    '/v2/a/tags/lists',
    '/v2/a/blobs/',
    '/v2/a/blobs/uploads',
    '/v2/a/blobs/uploads/..',
    '/v2/a/blobs/uploads/a.b',
    '/v2/a/blobs/uploads/a:b',
    '/v2/a/blobs/uploads/s/',
    `/v2/a/blobs/uploads/${'s'.repeat(8193)}`,
    `/v2/a/blobs/sha256:${HEX.toUpperCase()}`,
    `/v2/a/blobs/sha256:${HEX}0`,
    `/v2/a/blobs/sha256:../../../../etc/passwd`,
    `/v2/a/blobs/md5:${'0'.repeat(32)}`,
    `/v2/a/blobs/latest`,
    `/v2/a/referrers/latest`,
    `/v2/${'a'.repeat(256)}/tags/list`,
    `/v2/a/manifests/${'a'.repeat(129)}`,
    '/__proto__',
    '/metrics',
  ]
  for (const target of hostile) {
    for (const method of ['GET', 'PUT', 'DELETE', 'POST']) {
      const refusal = refusalOf(method, target)
      t.ok(
        refusal && refusal.status >= 400 && refusal.status < 500,
        `${method} ${JSON.stringify(target.slice(0, 90))}`,
      )
    }
  }
  t.end()
})

t.test('a refusal says what is wrong in the words of the spec', t => {
  const cases: readonly (readonly [method: string, target: string, code: string, status: number])[] = [
    ['GET', '/v1/', 'NAME_UNKNOWN', 404],
    ['GET', '/v2/a%2fb/tags/list', 'NAME_INVALID', 400],
    ['GET', '/v2/A/tags/list', 'NAME_INVALID', 400],
    ['GET', '/v2/a/b/c', 'NAME_UNKNOWN', 404],
    ['GET', '/v2/a/blobs/x', 'DIGEST_INVALID', 400],
    ['GET', '/v2/a/manifests/sha256:x', 'DIGEST_INVALID', 400],
    ['GET', '/v2/a/manifests/.x', 'MANIFEST_UNKNOWN', 404],
    ['PUT', '/v2/a/manifests/.x', 'TAG_INVALID', 400],
    ['PUT', `/v2/a/manifests/${DIGEST}?tag=.x`, 'TAG_INVALID', 400],
    ['PUT', '/v2/a/manifests/latest?tag=v1', 'TAG_INVALID', 400],
    ['GET', '/v2/a/blobs/uploads/a.b', 'BLOB_UPLOAD_UNKNOWN', 404],
    ['PUT', '/v2/a/blobs/uploads/s', 'DIGEST_INVALID', 400],
    ['PUT', '/v2/a/blobs/uploads/s?digest=x', 'DIGEST_INVALID', 400],
    ['POST', '/v2/a/blobs/uploads/?digest=x', 'DIGEST_INVALID', 400],
    ['POST', '/v2/a/blobs/uploads/?digest-algorithm=md5', 'DIGEST_INVALID', 400],
    ['GET', '/v2/_catalog?n=-1', 'UNSUPPORTED', 400],
    ['GET', '/v2/_catalog?n=1e3', 'UNSUPPORTED', 400],
    ['GET', '/v2/a/tags/list?n=', 'UNSUPPORTED', 400],
    ['GET', '/v2/a/tags/list?n=1&n=2', 'UNSUPPORTED', 400],
    ['GET', '/v2/?ns=a&ns=b', 'UNSUPPORTED', 400],
    ['GET', '/v2/?ns=%zz', 'UNSUPPORTED', 400],
    ['GET', '/v2/?ns=%00', 'UNSUPPORTED', 400],
    ['GET', '/v2/?ns=%ff', 'UNSUPPORTED', 400],
    ['GET', '/v2/?ns=%0d%0aX:1', 'UNSUPPORTED', 400],
    ['GET', '/v2/?ns=ü', 'UNSUPPORTED', 400],
    ['GET', `/v2/?x=${'x'.repeat(13_000)}`, 'NAME_INVALID', 414],
  ]
  for (const [method, target, code, status] of cases) {
    const refusal = refusalOf(method, target)
    t.same([refusal?.code, refusal?.status], [code, status], `${method} ${target.slice(0, 90)}`)
  }
  t.end()
})

t.test('a refusal names what was wrong with the request, at no great length', t => {
  const long = (character: string): string => character.repeat(200)
  const plain = 'The path is not one of the registry API in its plain form, without escapes.'
  const name = 'The repository name is not valid: lower-case path components, at most 255 characters.'
  const query = 'The query has a malformed escape or a character that is not printable ASCII.'
  const number = 'The parameter n must be a whole number of entries.'
  const tag = 'The tag parameter names an invalid tag, or goes with a push by tag.'
  const digest = (text: string): string => `"${text}" is not a sha256 or sha512 digest in lower-case hex.`
  const cases: readonly (readonly [method: string, target: string, message: string])[] = [
    ['GET', `/v2/?x=${'x'.repeat(13_000)}`, 'The request target is too long.'],
    ['GET', '/v2/%61/tags/list', plain],
    ['GET', '/v2/a/b/c', plain],
    ['GET', '/v3/', 'This is a registry mirror; its API is under /v2/.'],
    ['GET', '/v2/A/tags/list', name],
    ['GET', '/v2/A/manifests/x', name],
    ['POST', '/v2/A/blobs/uploads/', name],
    ['GET', `/v2/A/blobs/${DIGEST}`, name],
    ['GET', `/v2/A/referrers/${DIGEST}`, name],
    ['GET', '/v2/a/blobs/x', digest('x')],
    ['GET', `/v2/a/blobs/${long('x')}`, digest('x'.repeat(150))],
    ['GET', '/v2/a/referrers/x', digest('x')],
    ['GET', '/v2/a/manifests/sha256:x', digest('sha256:x')],
    ['POST', '/v2/a/blobs/uploads/?digest=x', digest('x')],
    ['POST', '/v2/a/blobs/uploads/?digest-algorithm=md5', digest('md5')],
    ['PATCH', '/v2/a/blobs/uploads/s?digest=x', digest('x')],
    ['PUT', '/v2/a/manifests/.x', '".x" is not a valid tag.'],
    ['PUT', `/v2/a/manifests/${long('x')}`, `"${'x'.repeat(128)}" is not a valid tag.`],
    ['GET', '/v2/a/manifests/.x', '".x" is not a valid tag, so there is no such manifest.'],
    [
      'GET',
      `/v2/a/manifests/${long('x')}`,
      `"${'x'.repeat(128)}" is not a valid tag, so there is no such manifest.`,
    ],
    ['PUT', `/v2/a/manifests/${DIGEST}?tag=.x`, tag],
    ['PUT', '/v2/a/manifests/latest?tag=v1', tag],
    ['GET', '/v2/a/blobs/uploads/a.b', 'There is no such upload session.'],
    ['PUT', '/v2/a/blobs/uploads/s', 'An upload ends with PUT and a digest parameter.'],
    ['GET', '/v2/a/tags/list?n=1e3', number],
    ['GET', '/v2/a/tags/list?n=1234567890', number],
    ['GET', '/v2/?ns=%zz', query],
    ['GET', '/v2/?%zz', query],
    ['GET', '/v2/?ns=a%0d', query],
    ['GET', `/v2/?ns=${'x'.repeat(4097)}`, query],
    ['GET', '/v2/?ns=a&ns=b', 'The parameter ns is given twice with different values.'],
    ['GET', '/v2/?last=a&last=b', 'The parameter last is given twice with different values.'],
    ['POST', '/v2/_catalog', 'The endpoint /v2/_catalog has no POST.'],
    ['POST', '/v2/', 'The endpoint /v2/ has no POST.'],
    ['POST', '/v2/a/tags/list', 'The endpoint /v2/<name>/tags/list has no POST.'],
    ['PUT', `/v2/a/referrers/${DIGEST}`, 'The endpoint /v2/<name>/referrers/<digest> has no PUT.'],
    ['POST', '/v2/a/manifests/x', 'The endpoint /v2/<name>/manifests/<reference> has no POST.'],
    ['PUT', `/v2/a/blobs/${DIGEST}`, 'The endpoint /v2/<name>/blobs/<digest> has no PUT.'],
    ['GET', '/v2/a/blobs/uploads/', 'The endpoint /v2/<name>/blobs/uploads/ has no GET.'],
    ['POST', '/v2/a/blobs/uploads/s', 'The endpoint /v2/<name>/blobs/uploads/<session> has no POST.'],
    [long('X'), '/v2/', `The endpoint /v2/ has no ${'X'.repeat(16)}.`],
  ]
  for (const [method, target, message] of cases)
    t.equal(refusalOf(method, target)?.message, message, `${method.slice(0, 9)} ${target.slice(0, 90)}`)
  t.end()
})

t.test('what is just short enough is taken', t => {
  const session = 's'.repeat(8192)
  t.same(endpointOf('GET', `/v2/a/blobs/uploads/${session}`), { kind: 'upload', name: 'a', session })
  const target = `/v2/?w=${'w'.repeat(4000)}&x=${'x'.repeat(4000)}&y=${'y'.repeat(4000)}&z=`
  t.same(endpointOf('GET', target.padEnd(12 * 1024, 'z')), { kind: 'base' })
  t.equal(refusalOf('GET', target.padEnd(12 * 1024 + 1, 'z'))?.status, 414)
  t.equal(queryOf(endpointOf('GET', `/v2/_catalog?last=${'~'.repeat(4096)}`)).length, 5 + 3 * 4096)
  t.equal(queryOf(endpointOf('GET', '/v2/_catalog?n=123456789')), 'n=123456789')
  t.end()
})

t.test('every endpoint has its methods and says so to others', t => {
  const paths: Readonly<Record<EndpointKind, string>> = {
    base: '/v2/',
    catalog: '/v2/_catalog',
    tags: '/v2/a/tags/list',
    referrers: `/v2/a/referrers/${DIGEST}`,
    manifest: '/v2/a/manifests/latest',
    blob: `/v2/a/blobs/${DIGEST}`,
    uploads: '/v2/a/blobs/uploads/',
    upload: `/v2/a/blobs/uploads/s?digest=${DIGEST}`,
  }
  t.same(Object.keys(paths), Object.keys(ROUTES))
  const methods: Readonly<Record<EndpointKind, readonly string[]>> = {
    base: ['GET', 'HEAD'],
    catalog: ['GET'],
    tags: ['GET'],
    referrers: ['GET'],
    manifest: ['GET', 'HEAD', 'PUT', 'DELETE'],
    blob: ['GET', 'HEAD', 'DELETE'],
    uploads: ['POST'],
    upload: ['GET', 'PATCH', 'PUT', 'DELETE'],
  }
  t.same(METHODS, methods)
  for (const [kind, path] of Object.entries(paths) as [EndpointKind, string][]) {
    for (const method of ALL_METHODS) {
      const name = `${method} ${path}`
      if (METHODS[kind].includes(method)) {
        t.equal(endpointOf(method, path).kind, kind, name)
      } else {
        const refusal = refusalOf(method, path)
        t.same(
          [refusal?.status, refusal?.code, refusal?.headers.allow],
          [405, 'UNSUPPORTED', METHODS[kind].join(', ')],
          name,
        )
      }
    }
  }
  t.end()
})

t.test('a mount of nothing, or from nowhere, is left out', t => {
  const query = (text: string): string => queryOf(endpointOf('POST', `/v2/a/blobs/uploads/?${text}`))
  for (const from of ['', '=', '=B', '=../b', `=${'a'.repeat(256)}`])
    t.equal(query(`mount=${DIGEST}&from${from}`), `mount=sha256%3A${HEX}`, from)
  for (const mount of ['', '=', '=x', `=md5:${HEX.slice(0, 32)}`, `=sha256:${HEX.slice(1)}`])
    t.equal(query(`mount${mount}&from=b`), 'from=b', mount)
  t.end()
})

t.test('the query holds what is known, once, and the rest goes nowhere', t => {
  const query = (target: string): string => queryOf(endpointOf('GET', target))
  t.equal(query('/v2/_catalog?last=a+b&n=5&evil=1&X-Amz-Signature=x'), 'n=5&last=a+b')
  t.equal(query('/v2/a/tags/list?n=5&n=5'), 'n=5', 'twice the same is once')
  t.equal(query('/v2/a/tags/list?&&n=5&'), 'n=5')
  t.equal(query('/v2/a/tags/list?%6e=5'), 'n=5', 'a name may be escaped')
  t.equal(query('/v2/a/tags/list?__proto__=1&constructor=2&evil=1&evil=2'), '')
  t.equal(query('/v2/a/tags/list?last=a%26n%3D9'), 'last=a%26n%3D9', 'what is escaped stays so')
  t.equal(query(`/v2/a/blobs/${DIGEST}?n=1&digest=x`), '')
  t.equal(query('/v2/?n=1'), '')
  t.equal(query(`/v2/a/referrers/${DIGEST}?n=2&last=x&artifactType=y`), 'artifactType=y&n=2&last=x')
  t.equal(query(`/v2/a/referrers/${DIGEST}?artifactType=a%2Fb`), 'artifactType=a%2Fb')
  const upload = endpointOf('POST', `/v2/a/blobs/uploads/?from=b%2Fc&mount=${DIGEST}&digest-algorithm=sha256`)
  t.equal(queryOf(upload), `digest-algorithm=sha256&mount=sha256%3A${HEX}&from=b%2Fc`)
  const whole = endpointOf('POST', `/v2/a/blobs/uploads/?digest=${DIGEST}`)
  t.equal(queryOf(whole), `digest=sha256%3A${HEX}`)
  t.equal(queryOf(endpointOf('POST', '/v2/a/blobs/uploads/')), '')
  t.equal(queryOf(endpointOf('PUT', `/v2/a/manifests/${DIGEST}?tag=b&tag=a`)), 'tag=b&tag=a')
  t.equal(queryOf(endpointOf('PUT', `/v2/a/manifests/${DIGEST}?ns=b`)), '')
  t.equal(queryOf(endpointOf('PUT', `/v2/a/blobs/uploads/s?digest=${DIGEST}`)), `digest=sha256%3A${HEX}`)
  t.end()
})

t.test('ns is told apart from the endpoint', t => {
  const ns = (target: string): string | undefined => {
    const parsed = parseRequest('GET', target)
    return parsed instanceof OciError ? parsed.message : parsed.ns
  }
  t.equal(ns('/v2/'), undefined)
  t.equal(ns('/v2/?ns=docker.io'), 'docker.io')
  t.equal(ns('/v2/a/tags/list?ns=docker.io&n=1&ns=docker.io'), 'docker.io', 'containerd may send it twice')
  t.equal(ns('/v2/?ns=localhost%3A5000'), 'localhost:5000')
  t.equal(ns('/v2/?ns'), '')
  t.equal(queryOf(endpointOf('GET', '/v2/a/tags/list?ns=docker.io&n=1')), 'n=1')
  t.end()
})

const NAME = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*'
const TAG = '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'
const DIGESTS = '(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})'

/** The API as the spec's table has it. */
const GRAMMAR: Readonly<Record<EndpointKind, RegExp>> = {
  base: /^\/v2\/?$/,
  catalog: /^\/v2\/_catalog$/,
  tags: new RegExp(`^/v2/(${NAME})/tags/list$`),
  referrers: new RegExp(`^/v2/(${NAME})/referrers/${DIGESTS}$`),
  manifest: new RegExp(`^/v2/(${NAME})/manifests/(?:${TAG}|${DIGESTS})$`),
  blob: new RegExp(`^/v2/(${NAME})/blobs/${DIGESTS}$`),
  uploads: new RegExp(`^/v2/(${NAME})/blobs/uploads/$`),
  upload: new RegExp(`^/v2/(${NAME})/blobs/uploads/[A-Za-z0-9_-]+$`),
}

t.test('a path is taken exactly when it fits the grammar, and is then its own canonical form', t => {
  const word = fc.constantFrom(
    ...[
      'a',
      'b0',
      'x.y',
      'x__y',
      'latest',
      'V1',
      '_catalog',
      'manifests',
      'blobs',
      'uploads',
      'tags',
      'list',
      'referrers',
      'v2',
    ],
    ...[
      '',
      '.',
      '..',
      '...',
      'a%2fb',
      'a\\b',
      '%',
      'ü',
      'a\0',
      'A',
      'a_',
      '-a',
      ' ',
      '#',
      DIGEST,
      DIGEST_512,
      `${DIGEST}0`,
    ],
  )
  const end = fc.constantFrom(
    ...[
      '/tags/list',
      '/manifests/latest',
      `/manifests/${DIGEST}`,
      `/blobs/${DIGEST}`,
      `/referrers/${DIGEST}`,
    ],
    ...['/blobs/uploads/', '/blobs/uploads/s', '/', ''],
  )
  const start = fc.oneof(
    { weight: 9, arbitrary: fc.constant('/v2/') },
    fc.constantFrom('/v2', '/v1/', '//v2/', 'http://x/v2/', ''),
  )
  const path = fc
    .tuple(start, fc.array(word, { maxLength: 5 }), end)
    .map(([start, words, end]) => start + words.join('/') + end)
  let taken = 0
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(path, path => {
        const kinds = (Object.keys(GRAMMAR) as EndpointKind[]).filter(kind => GRAMMAR[kind].test(path))
        const parsed = parseRequest(kinds[0] === 'uploads' ? 'POST' : 'GET', path)
        if (parsed instanceof OciError)
          return kinds.length === 0 && parsed.status >= 400 && parsed.status < 500
        taken++
        const { endpoint } = parsed
        const sameName = !('name' in endpoint) || GRAMMAR[endpoint.kind].exec(path)?.[1] === endpoint.name
        return (
          kinds.length === 1 &&
          kinds[0] === endpoint.kind &&
          sameName &&
          pathOf(endpoint) === (path === '/v2' ? '/v2/' : path)
        )
      }),
      { numRuns: 20_000 },
    ),
  )
  t.ok(taken > 500, `${taken} of them were taken`)
  t.end()
})

t.test('every path of the grammar comes back from what it means', t => {
  const name = fc
    .stringMatching(new RegExp(`^${NAME}$`), { maxLength: 40 })
    .filter(name => name.length <= 255)
  const digest = fc.stringMatching(new RegExp(`^${DIGESTS}$`))
  const reference = fc.oneof(fc.stringMatching(new RegExp(`^${TAG}$`)), digest)
  const session = fc.stringMatching(/^[A-Za-z0-9_-]{1,200}$/)
  const path = fc.oneof(
    name.map(name => `/v2/${name}/tags/list`),
    fc.tuple(name, reference).map(([name, reference]) => `/v2/${name}/manifests/${reference}`),
    fc.tuple(name, digest).map(([name, digest]) => `/v2/${name}/blobs/${digest}`),
    fc.tuple(name, digest).map(([name, digest]) => `/v2/${name}/referrers/${digest}`),
    fc.tuple(name, session).map(([name, session]) => `/v2/${name}/blobs/uploads/${session}`),
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(path, path => pathOf(endpointOf('GET', path)) === path),
      { numRuns: 2000 },
    ),
  )
  t.end()
})

t.test('a request comes back from its path and query', t => {
  const text = fc.string({ maxLength: 30 })
  const target = fc.oneof(
    fc
      .tuple(fc.nat({ max: 999_999_999 }), text)
      .map(([n, last]) => `/v2/a/tags/list?n=${n}&last=${encodeURIComponent(last)}`),
    text.map(type => `/v2/a/referrers/${DIGEST}?artifactType=${encodeURIComponent(type)}`),
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(target, target => {
        const endpoint = endpointOf('GET', target)
        t.same(endpointOf('GET', `${pathOf(endpoint)}?${queryOf(endpoint)}`), endpoint)
      }),
    ),
  )
  t.end()
})

t.test('no target makes it throw, and what it refuses is the client’s fault', t => {
  const target = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'binary' }).map(text => `/v2/${text}`),
    fc.string({ unit: 'binary' }).map(text => `/v2/a/manifests/${text}`),
    fc.string({ unit: 'binary' }).map(text => `/v2/a/tags/list?${text}`),
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.constantFrom(...ALL_METHODS), target, (method, target) => {
        const parsed = parseRequest(method, target)
        return !(parsed instanceof OciError) || (parsed.status >= 400 && parsed.status < 500)
      }),
      { numRuns: 10_000 },
    ),
  )
  t.end()
})
