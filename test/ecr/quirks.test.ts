import { randomBytes } from 'node:crypto'
import t from 'tap'
import { ask, fetchRaw } from './ask.js'
import { digestOfBytes } from './content.js'
import { DOCKER, OCI } from './convert.js'
import { startEcr, type Ecr, type EcrOptions } from './ecr.js'

const MiB = 1024 * 1024

/** One row for each of ECR's deviations from the distribution-spec. */
const QUIRKS: Record<string, (t: Tap, ecr: Ecr) => Promise<void>> = {
  'D1 a missing login is 401 in plain text with one Basic challenge': async (t, ecr) => {
    for (const authorization of [null, 'Basic Og==', 'Basic QVdTOnRoaXMtaXMtbm8tdG9rZW4=', 'Bearer x']) {
      const answer = await ask(ecr, '/v2/', { authorization })
      t.equal(answer.status, 401)
      t.equal(answer.text(), 'Not Authorized\n')
      t.strictSame(answer.rawHeaders.slice(0, 10), [
        'Docker-Distribution-Api-Version',
        'registry/2.0',
        'Sizes',
        '',
        'Www-Authenticate',
        `Basic realm="https://${ecr.host}/",service="ecr.amazonaws.com"`,
        'Content-Type',
        'text/plain; charset=utf-8',
        'Content-Length',
        '15',
      ])
    }
    t.equal((await ask(ecr, '/v2/a/manifests/x', { authorization: null })).status, 401)
    t.equal((await ask(ecr, '/')).status, 404)
    t.equal((await ask(ecr, '/v2/')).status, 200)
  },
  'D2 an expired token is 403 without a challenge': async (t, ecr) => {
    const authorization = `Basic ${ecr.token().authorizationToken}`
    t.equal((await ask(ecr, '/v2/', { authorization })).status, 200)
    ecr.expireTokens()
    const answer = await ask(ecr, '/v2/', { authorization })
    t.equal(answer.status, 403)
    t.equal(answer.headers['www-authenticate'], undefined)
    t.strictSame(answer.json(), {
      errors: [
        { code: 'DENIED', message: 'Your authorization token has expired. Reauthenticate and try again.' },
      ],
    })
    const head = await ask(ecr, '/v2/a/manifests/x', { method: 'HEAD', authorization })
    t.strictSame([head.status, head.body.length, head.headers['content-type']], [403, 0, undefined])
    t.equal((await ask(ecr, '/v2/')).status, 200, 'a token minted later works')
  },
  'D3 a manifest has its digest on HEAD and not on GET': async (t, ecr) => {
    const image = await ecr.putImage('a', '1')
    const get = await ask(ecr, '/v2/a/manifests/1', { headers: { accept: image.mediaType } })
    const head = await ask(ecr, '/v2/a/manifests/1', { method: 'HEAD' })
    t.strictSame([get.body, get.headers['content-type']], [image.bytes, DOCKER.manifest])
    t.equal(get.headers['docker-content-digest'], undefined)
    t.equal(head.headers['docker-content-digest'], image.digest)
    t.equal(head.headers['content-length'], String(image.bytes.length))
    t.match(
      (await ask(ecr, '/v2/a/manifests/none')).text(),
      '"MANIFEST_UNKNOWN","message":"Requested image not found"',
    )
  },
  'D4 a blob GET is 307 to S3 while HEAD is answered at once': async (t, ecr) => {
    const { config } = await ecr.putImage('a', '1')
    const head = await ask(ecr, `/v2/a/blobs/${config.digest}`, { method: 'HEAD' })
    t.strictSame([head.status, head.headers['content-length']], [200, String(config.size)])
    t.equal(head.headers['content-type'], DOCKER.config)
    t.equal(head.headers['docker-content-digest'], config.digest)
    const get = await ask(ecr, `/v2/a/blobs/${config.digest}`)
    const location = new URL(get.headers.location ?? '')
    t.strictSame([get.status, location.host], [307, ecr.s3Host])
    t.notMatch(location.href, config.digest.slice(7))
    t.strictSame(
      [...location.searchParams.keys()],
      ['Security-Token', 'Algorithm', 'Date', 'SignedHeaders', 'Expires', 'Credential', 'Signature'].map(
        name => `X-Amz-${name}`,
      ),
    )
    t.equal(digestOfBytes((await fetchRaw(location.href)).body), config.digest)
  },
  'D5 a signed URL takes neither Authorization nor another method': async (t, ecr) => {
    const { config } = await ecr.putImage('a', '1')
    const location = (await ask(ecr, `/v2/a/blobs/${config.digest}`)).headers.location ?? ''
    const twice = await fetchRaw(location, { headers: { authorization: 'Basic QVdTOng=' } })
    t.equal(twice.status, 400)
    t.match(twice.text(), '<Code>InvalidArgument</Code><Message>Only one auth mechanism allowed; ')
    t.equal((await fetchRaw(location, { method: 'HEAD' })).status, 403)
  },
  'D6 an upload begins with an absolute Location and no uuid': async (t, ecr) => {
    ecr.createRepository('a')
    const { status, headers } = await ask(ecr, '/v2/a/blobs/uploads/', { method: 'POST' })
    t.equal(status, 202)
    t.match(headers.location, new RegExp(`^https://${ecr.host}/v2/a/blobs/uploads/[0-9a-f-]{36}$`))
    t.equal(headers['docker-upload-uuid'], undefined)
    ecr.knobs.location = 'abs443'
    const other = await ask(ecr, '/v2/a/blobs/uploads/', { method: 'POST' })
    t.match(other.headers.location, `https://${ecr.host}:443/v2/a/blobs/uploads/`)
  },
  'D7 and D8 PATCH is 201 and its Range stands still, though the bytes are there': async (t, ecr) => {
    const blob = randomBytes(5 * MiB + 5 * MiB + 7)
    const { patch, put } = await upload(ecr)
    const first = await patch(blob.subarray(0, 5 * MiB), `0-${5 * MiB - 1}`)
    t.strictSame([first.status, first.headers.range], [201, `0-${5 * MiB - 1}`])
    const second = await patch(blob.subarray(5 * MiB, 10 * MiB), `${5 * MiB}-${10 * MiB - 1}`)
    t.strictSame([second.status, second.headers.range], [201, `0-${5 * MiB - 1}`])
    const again = await patch(blob.subarray(5 * MiB, 10 * MiB), `${5 * MiB}-${10 * MiB - 1}`)
    t.equal(again.status, 416)
    t.equal((await put(digestOfBytes(blob), blob.subarray(10 * MiB))).status, 201)
    t.strictSame(await ecr.blob('a', digestOfBytes(blob))?.bytes(), blob)
  },
  'D9 a small part that is not the last is found out at the end': async (t, ecr) => {
    const blob = randomBytes(2000)
    const { patch, put } = await upload(ecr)
    t.equal((await patch(blob.subarray(0, 1000))).status, 201)
    t.equal((await patch(blob.subarray(1000))).status, 201)
    const end = await put(digestOfBytes(blob))
    t.equal(end.status, 400)
    t.match(end.text(), 'All layer parts except the last part should be at least 5MB')
  },
  'D10 an upload has no status': async (t, ecr) => {
    const { path } = await upload(ecr)
    t.equal((await ask(ecr, path)).status, 404)
    t.equal((await ask(ecr, path, { method: 'DELETE' })).status, 204)
    t.equal(ecr.uploads, 0)
  },
  'D11 tags come as plain text, unsorted, in pages with an opaque absolute Link': async (t, ecr) => {
    const tags = Array.from({ length: 130 }, (_, index) => `v${String(index).padStart(3, '0')}`)
    const { bytes, mediaType } = await ecr.putImage('a', undefined)
    for (const tag of tags) ecr.putManifest('a', tag, bytes, { mediaType })
    const page = await ask(ecr, '/v2/a/tags/list')
    const { tags: names } = page.json() as { tags: string[] }
    t.equal(page.headers['content-type'], 'text/plain; charset=utf-8')
    t.equal(names.length, 100)
    t.notSame(names, [...names].sort())
    const [, next = ''] =
      /^<https:\/\/[^/]+(\/v2\/a\/tags\/list\?last=.{100,})>; rel="next"$/.exec(String(page.headers.link)) ??
      []
    t.notMatch(decodeURIComponent(next), names.at(-1))
    const rest = await ask(ecr, next)
    t.strictSame([...names, ...(rest.json() as { tags: string[] }).tags].sort(), tags)
    t.equal(rest.headers.link, undefined)
    const many = await ask(ecr, '/v2/a/tags/list?n=1001')
    t.equal(many.status, 405)
    t.match(many.text(), "Invalid parameter at 'maxResults'")
    t.equal((await ask(ecr, '/v2/a/tags/list?last=v001')).status, 405, 'a tag is no token')
    t.match((await ask(ecr, '/v2/a/tags/list?n=3')).headers.link, /&n=3>; rel="next"$/)
  },
  'D12 a tag is converted to what the client takes, a digest never': async (t, ecr) => {
    const docker = await ecr.putImage('a', 'docker')
    const oci = await ecr.putImage('a', 'oci', { format: 'oci' })
    const read = (reference: string, accept: string) =>
      ask(ecr, `/v2/a/manifests/${reference}`, { headers: { accept } })
    for (const [stored, tag, other] of [
      [docker, 'docker', OCI.manifest],
      [oci, 'oci', DOCKER.manifest],
    ] as const) {
      t.strictSame((await read(tag, `${DOCKER.manifest}, ${OCI.manifest}`)).body, stored.bytes)
      const converted = await read(tag, other)
      t.equal(converted.headers['content-type'], other)
      t.notSame(converted.body, stored.bytes)
      t.strictSame((await read(stored.digest, other)).body, stored.bytes)
      t.equal((await read(digestOfBytes(converted.body), other)).status, 404)
    }
    const schema1 = await read('docker', 'application/vnd.docker.distribution.manifest.v1+json')
    t.match(schema1.json(), { schemaVersion: 1, fsLayers: [{ blobSum: docker.layers[0]?.digest }] })
  },
  'D13 a manifest that is not JSON is 405': async (t, ecr) => {
    ecr.createRepository('a')
    const answer = await ask(ecr, '/v2/a/manifests/x', { method: 'PUT', body: 'nonsense' })
    t.equal(answer.status, 405)
    t.match(
      answer.text(),
      "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
    )
  },
  'D14 every answer has an empty Sizes header': async (t, ecr) => {
    for (const path of ['/v2/', '/v2/a/tags/list', '/v2/nothing']) {
      const { headers } = await ask(ecr, path)
      t.strictSame([headers['sizes'], headers['docker-distribution-api-version']], ['', 'registry/2.0'])
    }
  },
  'D15 a push to a missing repository is 404, or a dropped connection': async (t, ecr) => {
    const answer = await ask(ecr, '/v2/no/such/blobs/uploads/', { method: 'POST' })
    t.equal(answer.status, 404)
    t.match(
      answer.text(),
      "The repository with name 'no/such' does not exist in the registry with id '123456789012'",
    )
    ecr.knobs.missingRepo = 'drop'
    await t.rejects(ask(ecr, '/v2/no/such/blobs/uploads/', { method: 'POST' }), { code: 'ECONNRESET' })
    ecr.knobs.createOnPush = ['no/']
    t.equal((await ask(ecr, '/v2/no/such/blobs/uploads/', { method: 'POST' })).status, 202)
  },
  'D16 the Host header is the registry': async (t, ecr) => {
    const answer = await ask(ecr, '/v2/', { host: 'mirror.internal' })
    t.equal(answer.status, 403)
    t.match(answer.text(), 'Could not resolve registry id from host mirror.internal')
    t.equal((await ask(ecr, '/v2/', { host: '127.0.0.1:80' })).status, 403)
    t.equal((await ask(ecr, '/v2/', { host: '123456789012.dkr-ecr.us-east-1.on.aws' })).status, 200)
    ecr.knobs.loopbackHost = true
    t.equal((await ask(ecr, '/v2/', { host: '127.0.0.1:80' })).status, 200)
  },
}

type Tap = typeof t

for (const [name, check] of Object.entries(QUIRKS)) {
  t.test(name, async t => {
    await check(t as unknown as Tap, await started(t))
  })
}

t.test('a manifest needs its layers, a free tag and its own digest', async t => {
  const ecr = await started(t)
  const put = (reference: string, body: Buffer | string) =>
    ask(ecr, `/v2/a/manifests/${reference}`, {
      method: 'PUT',
      body,
      headers: { 'content-type': DOCKER.manifest },
    })
  const { bytes, digest, layers } = await ecr.putImage('a', '1')
  const created = await put('2', bytes)
  t.strictSame([created.status, created.headers['docker-content-digest']], [201, digest])
  t.strictSame(ecr.tags('a'), ['1', '2'])
  t.match((await put(`sha256:${'0'.repeat(64)}`, bytes)).json(), { errors: [{ code: 'DIGEST_INVALID' }] })
  const lacking = await put('3', bytes.toString().replaceAll(layers[0]!.digest, `sha256:${'0'.repeat(64)}`))
  t.equal(lacking.status, 404)
  t.match(lacking.text(), /Layers with digests '\[sha256:0+\]' required for pushing image/)
  t.equal((await put('big', Buffer.alloc(4 * MiB + 1, 0x20))).status, 405)
  ecr.knobs.immutableTags = true
  const taken = await put('2', bytes)
  t.equal(taken.status, 400)
  t.match(
    taken.text(),
    "The image tag '2' already exists in the 'a' repository and cannot be overwritten because the repository is immutable.",
  )
  t.equal((await ask(ecr, `/v2/a/manifests/2`, { method: 'DELETE' })).status, 202)
  t.strictSame(ecr.tags('a'), ['1'])
  t.equal((await ask(ecr, `/v2/a/manifests/${digest}`, { method: 'DELETE' })).status, 202)
  t.strictSame(ecr.tags('a'), [])
  const list = JSON.stringify({ schemaVersion: 2, mediaType: OCI.index, manifests: [{ digest }] })
  t.match((await put('list', list)).text(), 'Images with digests')
})

t.test('a layer cannot be had before an image has it', async t => {
  const ecr = await started(t)
  const { digest } = await ecr.putBlob('a', 'layer')
  t.equal((await ask(ecr, `/v2/a/blobs/${digest}`, { method: 'HEAD' })).status, 200)
  t.equal((await ask(ecr, `/v2/a/blobs/${digest}`)).status, 404)
  ecr.putManifest('a', undefined, { layers: [{ digest }] })
  t.equal((await ask(ecr, `/v2/a/blobs/${digest}`)).status, 307)
  t.equal((await ask(ecr, `/v2/b/blobs/${digest}`)).status, 404, 'another repository does not have it')
})

t.test('a whole blob may come in one PUT, and its digest decides', async t => {
  const ecr = await started(t)
  const { put } = await upload(ecr)
  const blob = randomBytes(1000)
  const made = await put(digestOfBytes(blob), blob)
  t.strictSame([made.status, made.headers['docker-content-digest']], [201, digestOfBytes(blob)])
  const wrong = await (await upload(ecr)).put(digestOfBytes('other'), blob)
  t.equal(wrong.status, 400)
  t.match(wrong.text(), 'None of the provided layer digests match the calculated layer digest')
  t.equal((await (await upload(ecr)).put(digestOfBytes(blob, 'sha512'), blob)).status, 400)
})

t.test('blobs are mounted only where that is enabled and the source has them', async t => {
  const ecr = await started(t)
  const { digest } = await ecr.putBlob('a', 'layer')
  ecr.createRepository('b')
  const mount = (from: string) =>
    ask(ecr, `/v2/b/blobs/uploads/?mount=${digest}&from=${from}`, { method: 'POST' })
  t.equal((await mount('a')).status, 202)
  ecr.knobs.blobMounting = true
  t.equal((await mount('c')).status, 202)
  t.equal(ecr.blob('b', digest), undefined)
  const mounted = await mount('a')
  t.strictSame([mounted.status, mounted.headers.location], [201, `https://${ecr.host}/v2/b/blobs/${digest}`])
  t.equal(ecr.blob('b', digest)?.size, 5)
})

t.test('the catalog is paged like tags, and referrers are found by their subject', async t => {
  const ecr = await started(t)
  const { digest } = await ecr.putImage('a', '1')
  ecr.createRepository('b')
  t.strictSame(
    (await ask(ecr, '/v2/_catalog?n=1')).headers.link?.slice(0, 20),
    `<https://${ecr.host}`.slice(0, 20),
  )
  const { repositories } = (await ask(ecr, '/v2/_catalog')).json() as { repositories: string[] }
  t.strictSame(repositories.sort(), ['a', 'b'])
  const signature = ecr.putManifest('a', undefined, { artifactType: 'x/y', subject: { digest } })
  const found = await ask(ecr, `/v2/a/referrers/${digest}`)
  t.equal(found.headers['content-type'], OCI.index)
  t.match(found.json(), { manifests: [{ digest: signature.digest, artifactType: 'x/y' }] })
  ecr.knobs.referrers = 404
  t.equal((await ask(ecr, `/v2/a/referrers/${digest}`)).status, 404)
})

async function started(
  t: { teardown: (end: () => Promise<void>) => unknown },
  options?: EcrOptions,
): Promise<Ecr> {
  const ecr = await startEcr(options)
  t.teardown(() => ecr.close())
  return ecr
}

async function upload(ecr: Ecr) {
  ecr.createRepository('a')
  const { headers } = await ask(ecr, '/v2/a/blobs/uploads/', { method: 'POST' })
  const path = new URL(headers.location ?? '', ecr.url).pathname
  return {
    path,
    patch: (body: Buffer, range?: string) =>
      ask(ecr, path, {
        method: 'PATCH',
        body,
        headers: range === undefined ? {} : { 'content-range': range },
      }),
    put: (digest: string, body?: Buffer) =>
      ask(ecr, `${path}?digest=${digest}`, { method: 'PUT', ...(body && { body }) }),
  }
}
