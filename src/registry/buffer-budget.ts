/** What all readers together may hold in buffers, in bytes; the more they are, the smaller each one's. */
const BUDGET = 32 * 1024 * 1024
const LARGEST = 512 * 1024
const SMALLEST = 64 * 1024
/** What is kept of each size for the next readers, in bytes: a few large ones, or what a crowd of small requests needs. */
const KEPT = 8 * LARGEST

const idle = new Map<number, Buffer[]>()
let lent = 0

/** A buffer for one reader of so many bytes, to be given back when nothing reads from it any more. */
export function lendBuffer(wanted: number): { readonly buffer: Buffer; giveBack(): void } {
  lent++
  const share = BUDGET / lent
  let size = LARGEST
  while (size > SMALLEST && (size > share || size / 2 >= wanted)) size /= 2
  const buffer = idle.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size)
  let given = false
  return {
    buffer,
    giveBack() {
      if (given) return
      given = true
      lent--
      const shelf = idle.get(size) ?? []
      if ((shelf.length + 1) * size <= KEPT) shelf.push(buffer)
      idle.set(size, shelf)
    },
  }
}
