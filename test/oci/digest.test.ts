import fc from 'fast-check'
import t from 'tap'
import {
  algorithmOf,
  digestCheck,
  DigestMismatch,
  digestOf,
  fitsSize,
  hexOf,
  isDigestAlgorithm,
  parseDigest,
} from '../../src/oci/digest.js'

/** Of nothing (FIPS 180-4 examples, as sha256sum and sha512sum print them). */
const EMPTY_256 = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const EMPTY_512 =
  'sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e'

t.test('a digest is a registered algorithm and its lower-case hex', t => {
  for (const text of [EMPTY_256, EMPTY_512]) t.equal(parseDigest(text), text)
  const hex = 'a'.repeat(64)
  const refused = [
    '',
    'sha256',
    'sha256:',
    hex,
    `sha256:${hex}a`,
    `sha256:${hex.slice(1)}`,
    `sha256:${hex.toUpperCase()}`,
  ]
  refused.push(
    `SHA256:${hex}`,
    `sha512:${hex}`,
    `sha256:${hex}${hex}`,
    `sha384:${'a'.repeat(96)}`,
    `md5:${'a'.repeat(32)}`,
  )
  refused.push(
    ` sha256:${hex}`,
    `sha256:${hex}\n`,
    `sha256:${hex.slice(1)}g`,
    `sha256:../${hex.slice(3)}`,
    `sha256:${hex.slice(1)}\0`,
  )
  refused.push(`sha256+b64:${hex}`, `sha256::${hex}`, `constructor:${hex}`, `sha256:${'а'.repeat(64)}`)
  for (const digest of [EMPTY_256, EMPTY_512])
    refused.push(`x${digest}`, `${digest}0`, digest.slice(0, -1), `${digest}\n`, `\n${digest}`)
  for (const text of refused) t.equal(parseDigest(text), undefined, JSON.stringify(text))
  t.end()
})

t.test('a digest knows its algorithm and its hex', t => {
  for (const [text, algorithm, length] of [
    [EMPTY_256, 'sha256', 64],
    [EMPTY_512, 'sha512', 128],
  ] as const) {
    const digest = parseDigest(text)!
    t.equal(algorithmOf(digest), algorithm)
    t.equal(hexOf(digest).length, length)
    t.equal(`${algorithmOf(digest)}:${hexOf(digest)}`, text)
  }
  t.end()
})

t.test('bytes have a digest by each algorithm', t => {
  t.equal(digestOf(Buffer.of()), EMPTY_256)
  t.equal(digestOf(Buffer.of(), 'sha512'), EMPTY_512)
  t.end()
})

t.test('a running hash knows its bytes however they are cut, and no others', t => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(bytes, fc.nat(), fc.constantFrom('sha256', 'sha512'), (bytes, cut, algorithm) => {
        const digest = digestOf(bytes, algorithm)
        if (parseDigest(digest) !== digest) return false
        const at = cut % (bytes.length + 1)
        const [same, short, other] = [digestCheck(digest), digestCheck(digest), digestCheck(digest)]
        same.update(bytes.subarray(0, at))
        same.update(bytes.subarray(at))
        short.update(bytes.subarray(1))
        other.update(bytes.map((byte, index) => (index === at % bytes.length ? byte ^ 1 : byte)))
        return [same, short, other].map(check => check.matches()).join() === 'true,false,false'
      }),
    ),
  )
  t.end()
})

t.test('only registered algorithms are algorithms', t => {
  for (const text of ['sha256', 'sha512']) t.equal(isDigestAlgorithm(text), true, text)
  for (const text of ['', 'sha1', 'md5', 'SHA256', 'toString', '__proto__'])
    t.equal(isDigestAlgorithm(text), false, text)
  t.end()
})

t.test('nothing has the digest of nothing, and nothing else has', t => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const [nothing, something] = [digestOf(Buffer.alloc(0), algorithm), digestOf(Buffer.from('x'), algorithm)]
    t.equal(fitsSize(nothing, 0), true, algorithm)
    t.equal(fitsSize(nothing, 1), false, algorithm)
    t.equal(fitsSize(something, 0), false, algorithm)
    t.equal(fitsSize(something, 1), true, algorithm)
  }
  t.end()
})

t.test('a mismatch says which digest the bytes do not have', t => {
  const digest = parseDigest(EMPTY_256)!
  const mismatch = new DigestMismatch(digest)
  t.equal(mismatch.digest, digest)
  t.equal(mismatch.name, 'DigestMismatch')
  t.equal(mismatch.message, `The bytes do not have the digest ${EMPTY_256}.`)
  t.equal(digestCheck(digest).digest, digest)
  t.end()
})
