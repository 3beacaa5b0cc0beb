import { randomBytes } from 'node:crypto'
import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { CacheTrouble } from '../../src/store/blob-store.js'
import { HASH_CHUNK, hasDigest } from '../../src/store/hash-follower.js'

const content = randomBytes(2 * HASH_CHUNK + 5)
const bytes = {
  size: content.length,
  // Less than was asked for, as a disk may give.
  read: async (buffer: Uint8Array, position: number) =>
    content.copy(buffer.subarray(0, 100_000), 0, position),
}

t.test('bytes are hashed in order as they come to be there', async t => {
  const asked: number[] = []
  const reached = async (position: number): Promise<void> => void asked.push(position)
  t.ok(await hasDigest({ digest: digestOf(content), bytes, reached }))
  t.ok(await hasDigest({ digest: digestOf(content, 'sha512'), bytes, reached: async () => undefined }))
  t.notOk(await hasDigest({ digest: digestOf(content.subarray(1)), bytes, reached: async () => undefined }))
  t.equal(asked[0], HASH_CHUNK)
  t.equal(asked.at(-1), content.length)
  t.same(
    asked,
    [...asked].sort((a, b) => a - b),
  )
})

t.test('bytes that never come', async t => {
  const reached = (): Promise<void> => Promise.reject(new Error('gone'))
  await t.rejects(hasDigest({ digest: digestOf(content), bytes, reached }), { message: 'gone' })
})

t.test('bytes that should be there and are not', async t => {
  const short = { size: 10, read: async () => 0 }
  await t.rejects(
    hasDigest({ digest: digestOf(content), bytes: short, reached: async () => undefined }),
    CacheTrouble,
  )
})
