import t from 'tap'
import { ask, fetchRaw } from './ask.js'
import { startEcr, type KnobSettings } from './ecr.js'

const BYTES = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251))

t.test('single ranges are served, an unsatisfiable one is 416, several come as the whole', async t => {
  const { ecr, get } = await started(t)
  const some = await get({ range: 'bytes=10-19' })
  t.strictSame([some.status, some.body], [206, BYTES.subarray(10, 20)])
  t.equal(some.headers['content-range'], `bytes 10-19/${BYTES.length}`)
  t.strictSame((await get({ range: 'bytes=199000-' })).body, BYTES.subarray(199_000))
  t.strictSame((await get({ range: 'bytes=-5' })).body, BYTES.subarray(-5))
  const beyond = await get({ range: `bytes=${BYTES.length}-` })
  t.strictSame([beyond.status, beyond.headers['content-range']], [416, `bytes */${BYTES.length}`])
  t.match(beyond.text(), '<Code>InvalidRange</Code>')
  t.strictSame((await get({ range: 'bytes=0-1,4-5' })).status, 200)
  ecr.knobs.s3.multiRange = '416'
  t.strictSame((await get({ range: 'bytes=0-1,4-5' })).status, 416)
  ecr.knobs.s3.range = false
  t.strictSame((await get({ range: 'bytes=10-19' })).body, BYTES)
})

t.test('a URL whose query, host or time is wrong is refused in XML', async t => {
  const { ecr, get, location } = await started(t)
  const url = await location()
  const forged = await fetchRaw(url.replace(/Signature=.{8}/, 'Signature=00000000'))
  t.strictSame([forged.status, forged.headers['content-type']], [403, 'application/xml'])
  t.match(forged.text(), '<Code>SignatureDoesNotMatch</Code>')
  t.equal((await fetchRaw(url, { headers: { host: 'other' } })).status, 403)
  t.equal((await fetchRaw(url.replace('Expires=3600', 'Expires=9999'))).status, 403)
  t.match((await fetchRaw(url.replace(/\?.*/, ''))).text(), '<Message>Access Denied</Message>')
  ecr.knobs.presignTtl = 0
  t.match((await get()).text(), '<Message>Request has expired</Message>')
  t.equal((await fetchRaw(url)).status, 200, 'an older URL keeps its own time')
})

t.test('faults come as often as they were ordered', async t => {
  const { ecr, get } = await started(t, { s3: { slowDown: 1, expired: 1 } })
  t.match(await get(), { status: 503 })
  t.match((await get()).text(), 'Request has expired')
  const { s3 } = ecr.knobs
  s3.cutAfterBytes = { bytes: 100_000, times: 1 }
  const short = await get()
  t.strictSame([short.status, short.complete, short.body], [200, false, BYTES.subarray(0, 100_000)])
  s3.corruptByte = 150_000
  const wrong = await get()
  t.strictSame([wrong.complete, wrong.body.length, wrong.body.equals(BYTES)], [true, BYTES.length, false])
  t.strictSame((await get({ range: 'bytes=150001-' })).body, BYTES.subarray(150_001))
  s3.corruptByte = undefined
  s3.contentLengthLie = 7
  const lie = await get()
  t.strictSame([lie.headers['content-length'], lie.complete], [String(BYTES.length + 7), false])
  s3.contentLengthLie = -7
  await get().then(
    less => t.equal(less.headers['content-length'], String(BYTES.length - 7)),
    (error: unknown) => t.match(error, { code: /^HPE_/ }, 'what follows is no HTTP'),
  )
  s3.contentLengthLie = 0
  s3.slow = 400_000
  t.strictSame((await get()).body, BYTES)
  await ecr.settled()
  t.equal(ecr.open, 0)
})

t.test('a redirect can lead anywhere, over several stops, or nowhere', async t => {
  const { ecr, location } = await started(t, { redirectHops: 3, redirectStatus: 302 })
  let url = await location()
  for (const left of [2, 1]) {
    t.match(new URL(url).pathname, new RegExp(`^/hop/${left}/`))
    const stop = await fetchRaw(url)
    t.equal(stop.status, 302)
    url = stop.headers.location ?? ''
  }
  t.strictSame((await fetchRaw(url)).body, BYTES)
  ecr.knobs.redirectHops = 1
  ecr.knobs.redirectTo = 'http://169.254.169.254/latest/meta-data'
  t.equal(await location(), 'http://169.254.169.254/latest/meta-data')
  ecr.knobs.redirectTo = presigned => presigned.toUpperCase()
  t.match(await location(), /^HTTP:\/\/LOCALHOST/)
  ecr.knobs.redirectTo = null
  t.equal(await location(), '')
  ecr.knobs.redirectTo = undefined
  const bucket = `bucket.localhost:${ecr.s3Host.split(':')[1] ?? ''}`
  ecr.knobs.redirectHost = bucket
  const named = new URL(await location())
  named.hostname = 'localhost'
  t.strictSame((await fetchRaw(named.href, { headers: { host: bucket } })).body, BYTES)
})

t.test('a large blob is made on the fly and any part of it is the same again', async t => {
  const { ecr } = await started(t)
  const size = 64 * 1024 * 1024
  const blob = await ecr.putBlob('big', { size, seed: 'x' })
  ecr.putManifest('big', undefined, { layers: [{ digest: blob.digest }] })
  t.strictSame(await ecr.putBlob('big', { size, seed: 'x' }), blob)
  t.not((await ecr.putBlob('big', { size, seed: 'y' })).digest, blob.digest)
  const url = (await ask(ecr, `/v2/big/blobs/${blob.digest}`)).headers.location ?? ''
  const whole = await fetchRaw(url)
  t.equal(whole.body.length, size)
  const part = await fetchRaw(url, { headers: { range: 'bytes=12345677-12999999' } })
  t.ok(part.body.equals(whole.body.subarray(12_345_677, 13_000_000)))
})

async function started(t: { teardown: (end: () => unknown) => unknown }, knobs: KnobSettings = {}) {
  const ecr = await startEcr({ knobs })
  t.teardown(() => ecr.close())
  const { layers } = await ecr.putImage('a', '1', { layers: [BYTES] })
  const location = async () =>
    (await ask(ecr, `/v2/a/blobs/${layers[0]?.digest ?? ''}`)).headers.location ?? ''
  const get = async (headers: Record<string, string> = {}) => fetchRaw(await location(), { headers })
  return { ecr, location, get }
}
