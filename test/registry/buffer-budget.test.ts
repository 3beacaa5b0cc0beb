import t from 'tap'
import { lendBuffer } from '../../src/registry/buffer-budget.js'

const KiB = 1024

t.test('a reader gets no more than it can use, in steps, and half a mebibyte at most', t => {
  for (const [wanted, size] of [
    [0, 64],
    [4, 64],
    [64, 64],
    [65, 128],
    [300, 512],
    [100_000, 512],
  ] as const) {
    const lent = lendBuffer(wanted * KiB)
    t.equal(lent.buffer.length, size * KiB, `for ${wanted} KiB`)
    lent.giveBack()
  }
  t.end()
})

t.test('what is given back is lent again, once', t => {
  const first = lendBuffer(KiB)
  const { buffer } = first
  first.giveBack()
  first.giveBack()
  const [again, other] = [lendBuffer(KiB), lendBuffer(KiB)]
  t.equal(again.buffer, buffer)
  t.not(other.buffer, buffer)
  again.giveBack()
  other.giveBack()
  t.end()
})

t.test('the more readers there are the less each gets; a fleet stays within some 32 MiB', t => {
  const fleet = Array.from({ length: 400 }, () => lendBuffer(1024 * KiB))
  const sizes = fleet.map(({ buffer }) => buffer.length / KiB)
  t.equal(sizes[0], 512)
  t.equal(sizes.at(-1), 64)
  t.ok(
    sizes.every((size, index) => index === 0 || size <= (sizes[index - 1] ?? 0)),
    'never more than who came before',
  )
  const ofLast = sizes.slice(-256).reduce((sum, size) => sum + size, 0)
  t.ok(ofLast <= 32 * KiB)
  for (const lent of fleet) lent.giveBack()
  const kept = Array.from({ length: 100 }, () => lendBuffer(KiB))
  const reused = new Set(fleet.map(({ buffer }) => buffer))
  t.equal(kept.filter(({ buffer }) => reused.has(buffer)).length, 64, '4 MiB of each size are kept')
  for (const lent of kept) lent.giveBack()
  t.end()
})
