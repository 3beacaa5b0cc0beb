import fc from 'fast-check'
import t from 'tap'
import {
  byteRangeText,
  parseByteRange,
  parseContentRange,
  resolveByteRange,
  type ByteRange,
} from '../../src/oci/byte-range.js'

t.test('one range of bytes is read', t => {
  const cases: readonly (readonly [string, ByteRange])[] = [
    ['bytes=0-0', { first: 0, last: 0 }],
    ['bytes=0-499', { first: 0, last: 499 }],
    ['bytes=500-', { first: 500, last: undefined }],
    ['bytes=-500', { suffix: 500 }],
    ['bytes=-0', { suffix: 0 }],
    ['bytes=5-4', { first: 5, last: 4 }],
    ['BYTES=1-2', { first: 1, last: 2 }],
    [' bytes= 1-2 ', { first: 1, last: 2 }],
    ['bytes=00-09', { first: 0, last: 9 }],
    ['bytes=999999999999999-', { first: 999999999999999, last: undefined }],
  ]
  for (const [header, range] of cases) t.same(parseByteRange(header), range, header)
  t.end()
})

t.test('what is not one range of bytes is ignored, so that the whole is sent', t => {
  const headers = ['', 'bytes', 'bytes=', 'bytes=-', 'bytes=a-b', 'bytes=0-1,3-4', 'bytes=0-1,', 'items=0-1']
  headers.push(
    'bytes=1.5-2',
    'bytes=-1-2',
    'bytes=+1-2',
    'bytes=0x1-2',
    'bytes:0-1',
    'bytes=1 2-3 4',
    'byt es=0-1',
    'bytes=0 - 1',
  )
  headers.push('bytes=1000000000000000-', 'bytes=0-1000000000000000', 'bytes=0-1\nbytes=2-3', 'bytes=٠-١')
  for (const header of headers) t.equal(parseByteRange(header), undefined, JSON.stringify(header))
  t.equal(parseByteRange(undefined), undefined)
  t.end()
})

const size = fc.integer({ min: 0, max: 1_000_000 })
const range: fc.Arbitrary<ByteRange> = fc.oneof(
  fc.record({ suffix: size }),
  fc
    .tuple(size, fc.option(size, { nil: undefined }))
    .map(([first, more]) => ({ first, last: more === undefined ? more : first + more })),
)

t.test('a range is written as it is read', t => {
  fc.assert(fc.property(range, each => void t.same(parseByteRange(byteRangeText(each)), each)))
  t.end()
})

t.test('a range means bytes that are there, or is not satisfiable', t => {
  const cases: readonly (readonly [ByteRange, number, readonly [number, number] | undefined])[] = [
    [{ first: 0, last: 0 }, 1, [0, 0]],
    [{ first: 0, last: 99 }, 10, [0, 9]],
    [{ first: 9, last: undefined }, 10, [9, 9]],
    [{ first: 10, last: undefined }, 10, undefined],
    [{ first: 0, last: undefined }, 0, undefined],
    [{ first: 5, last: 4 }, 10, undefined],
    [{ suffix: 3 }, 10, [7, 9]],
    [{ suffix: 30 }, 10, [0, 9]],
    [{ suffix: 0 }, 10, undefined],
    [{ suffix: 3 }, 0, undefined],
  ]
  for (const [each, size, expected] of cases) {
    t.same(
      resolveByteRange(each, size),
      expected && { first: expected[0], last: expected[1] },
      `${byteRangeText(each)} of ${size}`,
    )
  }
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(range, size, (each, size) => {
        const resolved = resolveByteRange(each, size)
        return !resolved || (0 <= resolved.first && resolved.first <= resolved.last && resolved.last < size)
      }),
    ),
  )
  t.end()
})

t.test('a Content-Range counts only when it is whole and does not contradict itself', t => {
  t.same(parseContentRange('bytes 0-0/1'), { first: 0, last: 0, size: 1 })
  t.same(parseContentRange('bytes 5-9/10'), { first: 5, last: 9, size: 10 })
  const refused = [
    '',
    'bytes 5-9/*',
    'bytes */10',
    'bytes 9-5/10',
    'bytes 5-10/10',
    'bytes=5-9/10',
    'bytes 5-9',
    'items 5-9/10',
  ]
  for (const header of [...refused, 'bytes 5-9/10, bytes 0-1/10', ' bytes 5-9/10', 'bytes -9/10']) {
    t.equal(parseContentRange(header), undefined, header)
  }
  t.equal(parseContentRange(undefined), undefined)
  t.end()
})
