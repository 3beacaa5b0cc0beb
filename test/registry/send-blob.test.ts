import { createHash, randomBytes } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import t from 'tap'
import { digestCheck, parseDigest, type DigestCheck } from '../../src/oci/digest.js'
import { sendBlob } from '../../src/registry/send-blob.js'

const checkOf = (bytes: Buffer): DigestCheck =>
  digestCheck(parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)!)

function client(): { stream: PassThrough; received: () => Buffer } {
  const stream = new PassThrough()
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('error', () => undefined)
  return { stream, received: () => Buffer.concat(chunks) }
}

t.test('the right bytes come whole', async t => {
  const bytes = randomBytes(200_000)
  const chunks = [bytes.subarray(0, 1), bytes.subarray(1, 100_000), bytes.subarray(100_000)]
  for (const check of [checkOf(bytes), undefined]) {
    const { stream, received } = client()
    await sendBlob(Readable.from(chunks), stream, check)
    t.ok(received().equals(bytes))
  }
  const nothing = client()
  await sendBlob(Readable.from([]), nothing.stream, checkOf(Buffer.alloc(0)))
  t.equal(nothing.received().length, 0)
})

t.test('wrong bytes are never completed, and both sides end', async t => {
  const bytes = randomBytes(1000)
  for (const [what, chunks] of [
    ['a wrong byte', [bytes.subarray(0, 500), randomBytes(500)]],
    ['one chunk', [randomBytes(1000)]],
    ['too short', [bytes.subarray(0, 999)]],
    ['too long', [bytes, Buffer.from('x')]],
  ] as const) {
    const { stream, received } = client()
    const source = Readable.from(chunks)
    await t.rejects(sendBlob(source, stream, checkOf(bytes)), { name: 'DigestMismatch' }, what)
    t.ok(received().length < Buffer.concat(chunks).length, `${what}: the last bytes are kept back`)
    t.ok(stream.destroyed && source.destroyed)
  }
})

t.test('what breaks off on one side ends the other', async t => {
  const broken = new Readable({ read: () => void broken.destroy(new Error('broke')) })
  const { stream } = client()
  await t.rejects(sendBlob(broken, stream, undefined), { message: 'broke' })
  t.equal(stream.destroyed, true)
  const endless = new Readable({ read: () => void endless.push(Buffer.alloc(1000)) })
  const leaving = new PassThrough()
  const sent = sendBlob(endless, leaving, undefined)
  leaving.destroy(new Error('left'))
  await t.rejects(sent, { message: 'left' })
  t.equal(endless.destroyed, true)
})
