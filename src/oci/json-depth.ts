/** How deep the objects and arrays of a manifest may lie in one another. Those of the image-spec need five. */
export const MAX_MANIFEST_DEPTH = 64

const [QUOTE, BACKSLASH] = [0x22, 0x5c]
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/**
 * Whether objects and arrays lie deeper in one another than `depth`, told without parsing: what is made of megabytes of
 * brackets takes many times their memory. Of what is no JSON it says something or other.
 */
export function isDeeperThan(json: Uint8Array, depth: number): boolean {
  let open = 0
  let inText = false
  for (let at = 0; at < json.length; at++) {
    const byte = json[at] ?? 0
    if (inText) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inText = false
    } else if (byte === QUOTE) inText = true
    else if (OPENING.has(byte)) {
      if (++open > depth) return true
    } else if (CLOSING.has(byte)) open--
  }
  return false
}
