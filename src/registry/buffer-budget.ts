/** What all readers together may hold in buffers, in bytes; the more they are, the smaller each one's. */
const BUDGET = 32 * 1024 * 1024
const LARGEST = 512 * 1024
const SMALLEST = 64 * 1024

const idle = new Map<number, Buffer[]>()
let lent = 0

/** A buffer for one reader, to be given back when nothing reads from it any more. */
export function lendBuffer(): { readonly buffer: Buffer; giveBack(): void } {
  lent++
  const share = BUDGET / lent
  let size = LARGEST
  while (size > SMALLEST && size > share) size /= 2
  const buffer = idle.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size)
  let given = false
  return {
    buffer,
    giveBack() {
      if (given) return
      given = true
      lent--
      const shelf = idle.get(size) ?? []
      // A few are kept for the next readers; a whole fleet's are not.
      if (shelf.length < 8) shelf.push(buffer)
      idle.set(size, shelf)
    },
  }
}
