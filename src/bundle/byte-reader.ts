/** Takes a stream apart into pieces of wanted lengths. Holds no more than one chunk and the piece that is asked for. */
export interface ByteReader {
  /** The next `length` bytes, or fewer where the stream ends before. */
  take(length: number): Promise<Buffer>
  /** The next bytes, `most` at most, as they come; undefined at the end. */
  next(most: number): Promise<Uint8Array | undefined>
}

export function readBytes(chunks: AsyncIterator<Uint8Array>): ByteReader {
  let rest: Uint8Array = new Uint8Array(0)

  async function next(most: number): Promise<Uint8Array | undefined> {
    while (rest.length === 0) {
      const result = await chunks.next()
      if (result.done) return undefined
      rest = result.value
    }
    const piece = rest.subarray(0, most)
    rest = rest.subarray(piece.length)
    return piece
  }

  return {
    next,
    async take(length) {
      const pieces: Uint8Array[] = []
      for (let left = length; left > 0;) {
        const piece = await next(left)
        if (!piece) break
        pieces.push(piece)
        left -= piece.length
      }
      return Buffer.concat(pieces)
    },
  }
}
