import { createHash } from 'node:crypto'
import t from 'tap'
import { startMirror, type MirrorAnswer } from '../support/mirror.js'

const V2S2 = 'application/vnd.docker.distribution.manifest.v2+json'
const OCI = 'application/vnd.oci.image.manifest.v1+json'
const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

t.test('a manifest comes as it is, with its digest, though ECR does not say it', async t => {
  const { fetch, ecr } = await startMirror(t)
  const image = await ecr.putImage('team/app', 'v1')
  const stored = ecr.manifest('team/app', 'v1')!
  for (const reference of ['v1', image.digest]) {
    const answer = await fetch(`/v2/team/app/manifests/${reference}`, {
      headers: { accept: stored.mediaType },
    })
    const bytes = new Uint8Array(await answer.arrayBuffer())
    t.equal(answer.status, 200)
    t.same(Buffer.from(bytes), stored.bytes, 'to the byte')
    t.equal(answer.headers.get('docker-content-digest'), sha256(bytes))
    t.equal(answer.headers.get('content-type'), stored.mediaType)
    t.equal(answer.headers.get('content-length'), String(bytes.length))

    const head = await fetch(`/v2/team/app/manifests/${reference}`, {
      method: 'HEAD',
      headers: { accept: stored.mediaType },
    })
    t.equal(head.status, 200)
    t.equal(head.headers.get('docker-content-digest'), image.digest)
    t.equal(head.headers.get('content-length'), String(bytes.length))
    t.equal(head.headers.get('content-type'), stored.mediaType)
  }
  t.equal(ecr.count({ action: 'BatchGetImage', method: 'HEAD' }), 2, 'a HEAD stays a HEAD')
  const answer = await fetch('/v2/team/app/manifests/v1')
  t.equal(answer.headers.get('sizes'), null, "ECR's odd header stays behind")
})

t.test('a HEAD whose answer lacks the digest is answered from the manifest', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: { knobs: { digestOnHeadManifest: false } } })
  const image = await ecr.putImage('team/app', 'v1')
  const head = await fetch('/v2/team/app/manifests/v1', { method: 'HEAD' })
  t.equal(head.headers.get('docker-content-digest'), image.digest)
  t.equal(head.headers.get('content-length'), String(ecr.manifest('team/app', 'v1')!.bytes.length))
})

t.test('the Accept of the client decides what ECR converts, and the digest is of what came', async t => {
  const { fetch, ecr, url } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  const { bytes, mediaType } = ecr.manifest('team/app', 'v1')!
  const other = mediaType === OCI ? V2S2 : OCI
  const converted = await fetch('/v2/team/app/manifests/v1', { headers: { accept: other } })
  const got = new Uint8Array(await converted.arrayBuffer())
  t.equal(converted.headers.get('content-type'), other)
  t.notSame(Buffer.from(got), bytes, 'other bytes for another Accept')
  t.equal(converted.headers.get('docker-content-digest'), sha256(got))

  const { request } = await import('node:http')
  await new Promise<void>((resolve, reject) => {
    // dockerd sends its Accepts on lines of their own.
    const asked = request(
      `${url}/v2/team/app/manifests/v1`,
      { headers: { authorization: authorizationOf(), accept: [V2S2, OCI] } },
      answer => {
        answer.resume().on('end', resolve)
      },
    )
    asked.on('error', reject).end()
  })
  t.equal(ecr.requests.at(-1)!.headers.accept, `${V2S2},${OCI}`, 'every Accept line arrives')
})

function authorizationOf(): string {
  return `Basic ${Buffer.from('ci:correct horse: battery').toString('base64')}`
}

t.test('what is missing is said in the words of ECR', async t => {
  const { fetch, ecr } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  const missing = await fetch('/v2/team/app/manifests/v2')
  t.equal(missing.status, 404)
  t.match(await missing.json(), {
    errors: [{ code: 'MANIFEST_UNKNOWN', message: 'Requested image not found' }],
  })
  const nowhere = await fetch('/v2/team/none/manifests/v1')
  t.equal(nowhere.status, 404)
  t.match((await nowhere.json()).errors[0], {
    code: 'NAME_UNKNOWN',
    message: /does not exist in the registry/,
  })
  t.equal((await fetch('/v2/team/app/manifests/v2', { method: 'HEAD' })).status, 404)
})

t.test('a push arrives to the byte, and its answer names a path of the mirror', async t => {
  const { fetch, ecr } = await startMirror(t)
  const image = await ecr.putImage('team/app', 'v1')
  const { bytes, mediaType } = ecr.manifest('team/app', 'v1')!
  const spaced = Buffer.from(bytes.toString('utf8').replace('{', '{\n\n  '))
  const put = await fetch('/v2/team/app/manifests/v2', {
    method: 'PUT',
    body: new Uint8Array(spaced),
    headers: { 'content-type': mediaType },
  })
  t.equal(put.status, 201)
  t.equal(put.headers.get('docker-content-digest'), sha256(spaced))
  t.equal(put.headers.get('location'), `/v2/team/app/manifests/${sha256(spaced)}`)
  t.same(ecr.manifest('team/app', 'v2')!.bytes, spaced)
  t.ok(image)
})

t.test('a refused push is said in the words of ECR', async t => {
  const { fetch, ecr } = await startMirror(t)
  ecr.createRepository('team/frozen', { immutable: true })
  await ecr.putImage('team/frozen', 'v1')
  const { bytes, mediaType } = ecr.manifest('team/frozen', 'v1')!
  const put = (body: Buffer): Promise<MirrorAnswer> =>
    fetch('/v2/team/frozen/manifests/v1', {
      method: 'PUT',
      body: new Uint8Array(body),
      headers: { 'content-type': mediaType },
    })

  const immutable = await put(Buffer.from(bytes.toString('utf8').replace('{', '{ ')))
  t.equal(immutable.status, 400)
  t.match((await immutable.json()).errors[0], { code: 'TAG_INVALID', message: /immutable/ })

  const sent = ecr.count({ action: 'PutImage' })
  const malformed = await put(Buffer.from('{'))
  t.equal(malformed.status, 400, 'what is no manifest is not sent, since ECR says 405 to it')
  t.match((await malformed.json()).errors[0], { code: 'MANIFEST_INVALID', message: /JSON/ })
  t.equal(ecr.count({ action: 'PutImage' }), sent)

  const empty = await put(Buffer.alloc(0))
  t.equal(empty.status, 400)
  t.equal((await empty.json()).errors[0].code, 'MANIFEST_INVALID')

  const before = ecr.requests.length
  const large = await put(Buffer.alloc(4 * 1024 * 1024 + 1, 32))
  t.equal(large.status, 413)
  t.match((await large.json()).errors[0], { code: 'MANIFEST_INVALID', message: /4 MiB/ })
  t.equal(ecr.requests.length, before, 'what is too large is not even sent')
})

t.test('what ECR denies is DENIED, with the permission to grant and without the role', async t => {
  const { fetch, ecr, log } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  ecr.knobs.iamDenied.BatchGetImage = true
  const denied = await fetch('/v2/team/app/manifests/v1')
  t.equal(denied.status, 403)
  t.equal(denied.headers.get('www-authenticate'), null)
  const text = await denied.text()
  t.match(JSON.parse(text).errors[0], { code: 'DENIED', message: /ecr:BatchGetImage on team\/app/ })
  t.notMatch(text, /arn:/)
  t.match(JSON.stringify(log), /arn:aws/, 'the log has it')
})

t.test('a manifest that is not what was asked for is not passed on', async t => {
  const { fetch, ecr } = await startMirror(t)
  const image = await ecr.putImage('team/app', 'v1')
  const answer = (body: Buffer | string, headers: Record<string, string> = {}): void => {
    ecr.knobs.answer.BatchGetImage = [{ status: 200, headers: { 'content-type': OCI, ...headers }, body }]
  }
  answer('{"schemaVersion":2}')
  t.equal((await fetch(`/v2/team/app/manifests/${image.digest}`)).status, 502, 'another digest')
  answer('{"schemaVersion":2}', { 'docker-content-digest': image.digest })
  t.equal((await fetch('/v2/team/app/manifests/v1')).status, 502, 'a digest that is not true')
  answer(Buffer.alloc(4 * 1024 * 1024 + 1, 32))
  t.equal((await fetch('/v2/team/app/manifests/v1')).status, 502, 'more than 4 MiB')
  answer('abc', { 'content-encoding': 'gzip' })
  t.equal((await fetch('/v2/team/app/manifests/v1')).status, 502, 'a compressed one')
  t.equal((await fetch('/v2/team/app/manifests/v1')).status, 200, 'and the next one is served')
  t.equal(ecr.requests.at(-1)!.headers['accept-encoding'], 'identity')
})

t.test('a manifest is deleted where that is granted', async t => {
  const { fetch, ecr } = await startMirror(t, {
    settings: { policy: [{ principals: ['*'], actions: ['pull', 'delete'] }] },
  })
  await ecr.putImage('team/app', 'v1')
  t.equal((await fetch('/v2/team/app/manifests/v1', { method: 'DELETE' })).status, 202)
  t.equal(ecr.manifest('team/app', 'v1'), undefined)
  t.equal((await fetch('/v2/team/app/manifests/v1', { method: 'DELETE' })).status, 404)
})

t.test('a manifest that was pushed as a page comes back as none', async t => {
  for (const settings of [{}, { cache: { directory: `${t.testdir({})}/cache` } }]) {
    const { fetch } = await startMirror(t, { settings, ecr: { profile: 'spec' } })
    const manifest = JSON.stringify({ schemaVersion: 2, manifests: [], page: '<script>alert(1)</script>' })
    for (const type of ['text/html', 'image/svg+xml', 'application/xhtml+xml']) {
      const pushed = await fetch('/v2/team/app/manifests/page', {
        method: 'PUT',
        headers: { 'content-type': type },
        body: manifest,
      })
      t.equal(pushed.headers.get('x-content-type-options'), 'nosniff')
      for (const method of ['GET', 'HEAD', 'GET'])
        for (const reference of ['page', sha256(Buffer.from(manifest))]) {
          const answer = await fetch(`/v2/team/app/manifests/${reference}`, { method })
          if (pushed.status === 201) {
            t.equal(answer.status, 200, type)
            t.equal(answer.headers.get('content-type'), 'application/octet-stream', type)
          } else t.not(answer.headers.get('content-type'), type)
          t.equal(answer.headers.get('x-content-type-options'), 'nosniff')
        }
    }
  }
})
