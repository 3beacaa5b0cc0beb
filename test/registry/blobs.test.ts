import { randomBytes } from 'node:crypto'
import t from 'tap'
import { authorization, startMirror, type MirrorAnswer } from '../support/mirror.js'
import { ask } from '../support/requests.js'

const IMAGE = { knobs: { layerInaccessibleUntilTagged: false } }

t.test('a blob comes through the mirror, whole and checked, from where ECR redirects', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: IMAGE })
  const bytes = randomBytes(300_000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  const answer = await fetch(`/v2/team/app/blobs/${digest}`, {
    headers: { 'accept-encoding': 'gzip', cookie: 'a=b' },
  })
  t.equal(answer.status, 200)
  t.same(Buffer.from(await answer.arrayBuffer()), bytes)
  t.equal(answer.headers.get('content-length'), '300000')
  t.equal(answer.headers.get('docker-content-digest'), digest)
  t.equal(answer.headers.get('content-encoding'), null)
  t.equal(answer.headers.get('location'), null)
  t.equal(answer.headers.get('x-cache'), 'bypass')

  const stored = ecr.requests.filter(({ at }) => at === 's3')
  t.equal(stored.length, 1)
  t.equal(stored[0]!.headers.authorization, undefined, 'the storage sees no credentials')
  t.equal(stored[0]!.headers.cookie, undefined)
  t.equal(stored[0]!.headers['accept-encoding'], 'identity')
  const registry = ecr.requests.filter(({ at }) => at === 'registry')
  t.ok(
    registry.every(request => request.headers.authorization !== authorization),
    "nor does ECR see the client's",
  )
  t.ok(
    registry.every(request => request.host === ecr.host),
    'ECR is asked under its own name',
  )
})

t.test('a HEAD is answered without a redirect and without reading the blob', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: IMAGE })
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  const head = await fetch(`/v2/team/app/blobs/${digest}`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.headers.get('content-length'), '1000')
  t.equal(head.headers.get('docker-content-digest'), digest)
  t.equal(head.headers.get('content-type'), 'application/octet-stream')
  t.equal(ecr.count({ at: 's3' }), 0)
  t.equal(ecr.count({ method: 'HEAD' }), 1, 'HEAD stays HEAD')
  t.equal((await fetch(`/v2/team/app/blobs/sha256:${'0'.repeat(64)}`, { method: 'HEAD' })).status, 404)
})

t.test('ranges', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: IMAGE })
  const bytes = randomBytes(1000)
  const { digest } = await ecr.putBlob('team/app', bytes)
  const get = (range: string): Promise<MirrorAnswer> =>
    fetch(`/v2/team/app/blobs/${digest}`, { headers: { range } })
  const rows: [string, number, number][] = [
    ['bytes=0-99', 0, 100],
    ['bytes=500-', 500, 1000],
    ['bytes=-10', 990, 1000],
    ['bytes=990-5000', 990, 1000],
  ]
  for (const [range, from, to] of rows) {
    const answer = await get(range)
    t.equal(answer.status, 206, range)
    t.equal(answer.headers.get('content-range'), `bytes ${from}-${to - 1}/1000`)
    t.equal(answer.headers.get('content-length'), String(to - from))
    t.same(Buffer.from(await answer.arrayBuffer()), bytes.subarray(from, to))
  }
  for (const range of ['bytes=0-1,5-6', 'bytes=5-2', 'lines=1-2', 'bytes=x']) {
    const answer = await get(range)
    t.equal(answer.status, 200, `${range} is ignored`)
    t.same(Buffer.from(await answer.arrayBuffer()), bytes)
  }
  const beyond = await get('bytes=1000-')
  t.equal(beyond.status, 416)
  t.equal(beyond.headers.get('content-range'), 'bytes */1000')
})

t.test('a body that is wrong or breaks off never looks complete', async t => {
  const { url, ecr } = await startMirror(t, { ecr: IMAGE })
  const { digest } = await ecr.putBlob('team/app', randomBytes(500_000))
  const get = (): ReturnType<typeof ask> =>
    ask(`${url}/v2/team/app/blobs/${digest}`, { headers: { authorization } })

  ecr.knobs.s3.corruptByte = 1000
  const corrupt = await get()
  t.equal(corrupt.complete, false, 'a wrong byte')
  t.ok(corrupt.bytes.length < 500_000)
  ecr.knobs.s3.corruptByte = 499_999
  t.equal((await get()).complete, false, 'a wrong last byte')
  ecr.knobs.s3.corruptByte = undefined

  ecr.knobs.s3.cutAfterBytes = { bytes: 200_000, times: 1 }
  t.equal((await get()).complete, false, 'a cut')
  ecr.knobs.s3.contentLengthLie = -10
  t.equal((await get()).complete, false, 'fewer bytes announced than there are')
  ecr.knobs.s3.contentLengthLie = 0
  const whole = await get()
  t.ok(whole.complete, 'and then it comes whole')
  t.equal(whole.bytes.length, 500_000)
})

t.test('storage that refuses or falters is asked again by way of ECR; its words stay here', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: IMAGE })
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  const get = (): Promise<MirrorAnswer> => fetch(`/v2/team/app/blobs/${digest}`)
  ecr.knobs.s3.expired = 1
  t.equal((await get()).status, 200, 'an expired URL')
  ecr.knobs.s3.slowDown = 1
  t.equal((await get()).status, 200, 'SlowDown')
  ecr.knobs.s3.expired = 100
  const refused = await get()
  t.equal(refused.status, 502)
  const text = await refused.text()
  t.equal(JSON.parse(text).errors[0].code, 'UNKNOWN')
  t.notMatch(text, /<|X-Amz|amazonaws|localhost/)
})

t.test('a redirect to where the configuration does not lead is not followed', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: IMAGE })
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  for (const target of [
    'http://127.0.0.1:1/x',
    'http://169.254.169.254/latest/meta-data/',
    'file:///etc/passwd',
    'https://evil.example/x',
    `http://user@${ecr.s3Host}/x`,
  ]) {
    ecr.knobs.redirectTo = target
    const answer = await fetch(`/v2/team/app/blobs/${digest}`)
    t.equal(answer.status, 502, target)
    const text = await answer.text()
    t.match(text, /redirectHosts/)
    t.notMatch(text, /evil|169|passwd/, 'its place is not told')
  }
  ecr.knobs.redirectTo = undefined
  ecr.knobs.redirectHops = 2
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).status, 200, 'two hops are followed')
  ecr.knobs.redirectHops = 3
  t.equal((await fetch(`/v2/team/app/blobs/${digest}`)).status, 502, 'three are not')
})

t.test('headers come within ten seconds, or a refusal does', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: IMAGE })
  const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
  ecr.knobs.hang.GetObject = 10
  const answer = await fetch(`/v2/team/app/blobs/${digest}`)
  t.equal(answer.status, 504)
  t.ok(answer.headers.get('retry-after'))
})

t.test('an empty blob', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: IMAGE })
  const { digest } = await ecr.putBlob('team/app', Buffer.alloc(0))
  const answer = await fetch(`/v2/team/app/blobs/${digest}`)
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('content-length'), '0')
  t.equal((await answer.arrayBuffer()).byteLength, 0)
})
