import { randomBytes } from 'node:crypto'
import t from 'tap'
import { ask, type AskOptions } from './ask.js'
import { digestOfBytes } from './content.js'
import { OCI } from './convert.js'
import { startEcr } from './ecr.js'

t.test('a login is asked for as the specification has it, also when a token has died', async t => {
  const { ecr, call } = await started(t)
  const challenge = 'Basic realm="http://127.0.0.1/"'
  const missing = await call('/v2/', { authorization: null })
  t.strictSame([missing.status, missing.headers['www-authenticate']], [401, challenge])
  t.match(missing.json(), { errors: [{ code: 'UNAUTHORIZED' }] })
  const authorization = `Basic ${ecr.token().authorizationToken}`
  ecr.expireTokens()
  t.equal((await call('/v2/', { authorization })).status, 401)
})

t.test('an upload goes in chunks, with its state to be asked', async t => {
  const { call } = await started(t)
  const blob = randomBytes(3000)
  const begun = await call('/v2/a/blobs/uploads/', { method: 'POST' })
  const path = begun.headers.location ?? ''
  t.match(path, /^\/v2\/a\/blobs\/uploads\/[0-9a-f-]{36}$/)
  t.equal(begun.headers['docker-upload-uuid'], path.slice(-36))
  const patch = (from: number, to: number) =>
    call(path, {
      method: 'PATCH',
      body: blob.subarray(from, to),
      headers: { 'content-range': `${from}-${to - 1}` },
    })
  t.match(await patch(0, 1000), { status: 202, headers: { range: '0-999', location: path } })
  t.match(await patch(2000, 3000), { status: 416, headers: { range: '0-999', location: path } })
  t.match(await call(path), { status: 204, headers: { range: '0-999' } })
  t.match(await patch(1000, 2000), { status: 202, headers: { range: '0-1999' } })
  const digest = digestOfBytes(blob)
  const put = await call(`${path}?digest=${digest}`, { method: 'PUT', body: blob.subarray(2000) })
  t.match(put, {
    status: 201,
    headers: { location: `/v2/a/blobs/${digest}`, 'docker-content-digest': digest },
  })
  const got = await call(`/v2/a/blobs/${digest}`)
  t.strictSame([got.status, got.body, got.headers['docker-content-digest']], [200, blob, digest])
  const some = await call(`/v2/a/blobs/${digest}`, { headers: { range: 'bytes=5-9' } })
  t.strictSame(
    [some.status, some.body, some.headers['content-range']],
    [206, blob.subarray(5, 10), 'bytes 5-9/3000'],
  )
  const beyond = await call(`/v2/a/blobs/${digest}`, { headers: { range: 'bytes=3000-' } })
  t.strictSame([beyond.status, beyond.headers['content-range']], [416, 'bytes */3000'])
  t.equal((await call(path)).status, 404)
})

t.test('other ways to bring a blob: one POST, a mount, sha512; and to take it away', async t => {
  const { ecr, call } = await started(t)
  const digest = digestOfBytes('layer')
  const post = await call(`/v2/a/blobs/uploads/?digest=${digest}`, { method: 'POST', body: 'layer' })
  t.match(post, { status: 201, headers: { location: `/v2/a/blobs/${digest}` } })
  t.equal((await call(`/v2/b/blobs/uploads/?mount=${digest}&from=a`, { method: 'POST' })).status, 201)
  t.equal(ecr.blob('b', digest)?.size, 5)
  const sha512 = digestOfBytes('layer', 'sha512')
  t.equal(
    (await call(`/v2/a/blobs/uploads/?digest=${sha512}`, { method: 'POST', body: 'layer' })).status,
    201,
  )
  t.equal((await call(`/v2/a/blobs/${sha512}`)).text(), 'layer')
  const wrong = await call(`/v2/a/blobs/uploads/?digest=${digestOfBytes('x')}`, {
    method: 'POST',
    body: 'layer',
  })
  t.match(wrong.json(), { errors: [{ code: 'DIGEST_INVALID' }] })
  t.equal((await call(`/v2/a/blobs/${digest}`, { method: 'DELETE' })).status, 202)
  t.equal((await call(`/v2/a/blobs/${digest}`)).status, 404)
  t.equal((await call(`/v2/a/blobs/${digest}`, { method: 'DELETE' })).status, 404)
  const begun = await call('/v2/a/blobs/uploads/', { method: 'POST' })
  t.equal((await call(begun.headers.location ?? '', { method: 'DELETE' })).status, 204)
  t.equal(ecr.uploads, 0)
})

t.test('manifests carry their digest, take tags by parameter, and are refused when bad', async t => {
  const { ecr, call } = await started(t)
  const { bytes, digest } = await ecr.putImage('a', '1', { format: 'oci' })
  for (const method of ['GET', 'HEAD']) {
    t.match(await call('/v2/a/manifests/1', { method }), { headers: { 'docker-content-digest': digest } })
  }
  const put = (target: string, body: Buffer | string) =>
    call(`/v2/a/manifests/${target}`, { method: 'PUT', body, headers: { 'content-type': OCI.manifest } })
  t.match(await put(`${digest}?tag=2&tag=3`, bytes), { status: 201, headers: { 'oci-tag': '2, 3' } })
  t.strictSame(ecr.tags('a'), ['1', '2', '3'])
  t.match(await put('bad', 'nonsense'), { status: 400 })
  t.equal((await put('big', Buffer.alloc(4 * 1024 * 1024 + 1, 0x20))).status, 413)
})

t.test('tags are sorted JSON, and `last` is a tag', async t => {
  const { ecr, call } = await started(t)
  for (const tag of ['c', 'a', 'B', 'b']) ecr.putManifest('a', tag, { schemaVersion: 2 })
  const all = await call('/v2/a/tags/list')
  t.equal(all.headers['content-type'], 'application/json')
  t.strictSame(all.json(), { name: 'a', tags: ['B', 'a', 'b', 'c'] })
  const page = await call('/v2/a/tags/list?n=2')
  t.strictSame(page.json(), { name: 'a', tags: ['B', 'a'] })
  t.equal(page.headers.link, '</v2/a/tags/list?last=a&n=2>; rel="next"')
  t.strictSame((await call('/v2/a/tags/list?last=a&n=2')).json(), { name: 'a', tags: ['b', 'c'] })
  t.strictSame((await call('/v2/a/tags/list?n=0')).json(), { name: 'a', tags: [] })
  t.equal((await call('/v2/a/tags/list?n=5000')).status, 200)
})

t.test('referrers are listed with a filter, and a subject is confirmed', async t => {
  const { call } = await started(t)
  const subject = digestOfBytes('nobody')
  const push = (artifactType: string) => {
    const body = JSON.stringify({ mediaType: OCI.manifest, artifactType, subject: { digest: subject } })
    return call(`/v2/a/manifests/${digestOfBytes(body)}`, { method: 'PUT', body })
  }
  t.match(await push('x/a'), { status: 201, headers: { 'oci-subject': subject } })
  t.equal((await push('x/b')).status, 201)
  const count = (answer: { json(): unknown }) => (answer.json() as { manifests: unknown[] }).manifests.length
  t.equal(count(await call(`/v2/a/referrers/${subject}`)), 2)
  const filtered = await call(`/v2/a/referrers/${subject}?artifactType=x/a`)
  t.strictSame([count(filtered), filtered.headers['oci-filters-applied']], [1, 'artifactType'])
  t.equal(count(await call(`/v2/none/referrers/${subject}`)), 0)
  t.equal((await call('/v2/a/referrers/sha256:x')).status, 400)
})

async function started(t: { teardown: (end: () => unknown) => unknown }) {
  const ecr = await startEcr({ profile: 'spec' })
  t.teardown(() => ecr.close())
  return {
    ecr,
    call: (path: string, options: AskOptions = {}) => ask(ecr, path, { host: '127.0.0.1', ...options }),
  }
}
