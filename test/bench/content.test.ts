import { createHash } from 'node:crypto'
import t from 'tap'
import { bytesOf, MAX_PIECE, MiB, newBlob, newBlobs, newImage, piecesOf } from '../../bench/content.js'

t.test('a blob has its digest, over the seam of the random bytes too', async t => {
  const blob = newBlob(40 * MiB + 5)
  const hash = createHash('sha256')
  let size = 0
  for (const piece of piecesOf(blob)) {
    hash.update(piece)
    size += piece.length
  }
  t.equal(size, blob.size)
  t.equal(`sha256:${hash.digest('hex')}`, blob.digest)
})

t.test('its bytes are the same from wherever they are read', async t => {
  const blob = newBlob(40 * MiB)
  for (const position of [0, 1, 16 * MiB, 16 * MiB + 4000, 33 * MiB, blob.size - 3]) {
    const piece = bytesOf(blob, position, 1000)
    t.equal(piece.length, Math.min(1000, blob.size - position))
    for (const within of [0, 2]) t.equal(bytesOf(blob, position + within, 1)[0], piece[within])
  }
  t.equal(bytesOf(blob, 0, 2 * MAX_PIECE).length, MAX_PIECE)
})

t.test('no two blobs or parts of one are alike', async t => {
  const blobs = newBlobs(100, 1024)
  t.equal(new Set(blobs.map(({ digest }) => digest)).size, 100)
  const large = newBlob(64 * MiB)
  const parts = Array.from({ length: 8 }, (_, part) => bytesOf(large, part * 8 * MiB, 1024).toString('hex'))
  t.equal(new Set(parts).size, 8)
})

t.test('an image names what it is made of', async t => {
  const { manifest, config, layers } = newImage(3, 10)
  const described = JSON.parse(manifest.text) as { config: object; layers: object[] }
  t.match(described.config, { digest: config.digest, size: config.text.length })
  t.match(
    described.layers,
    layers.map(({ digest, size }) => ({ digest, size })),
  )
})
