import fc from 'fast-check'
import { inRing } from '../../support/ring.js'
import { CLASSES, type ClassId } from '../classes.js'

/** What all generated attacks go out from; `HOSTILE_SEED=… ` before the command tries others, or a failed run's again. */
export const SEED = Number(process.env['HOSTILE_SEED'] ?? 20_261_126)

const BATCH = 500

/** How many attacks of a class this ring tries. */
export const countOf = (id: ClassId): number => inRing(CLASSES[id])

/**
 * The attacks of a class, or of a `part` of it (0 to 1): those written down, then generated ones up to the number that the
 * ring promises; the same ones in the same order for the same seed.
 */
export function* attacks<T>(
  id: ClassId,
  written: readonly T[],
  shape: fc.Arbitrary<T>,
  part = 1,
): Generator<T> {
  yield* written
  let left = Math.ceil(countOf(id) * part) - written.length
  for (let batch = 0; left > 0; batch++, left -= BATCH) {
    yield* fc.sample(shape, { seed: SEED + batch, numRuns: Math.min(BATCH, left) })
  }
}

/** Does the work for each attack, with so many under way at once. The first failure ends it. */
export async function atOnce<T>(
  attacks: Iterable<T>,
  count: number,
  work: (attack: T) => Promise<void>,
): Promise<void> {
  const left = attacks[Symbol.iterator]()
  const runner = async (): Promise<void> => {
    for (let next = left.next(); !next.done; next = left.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: count }, runner))
}
