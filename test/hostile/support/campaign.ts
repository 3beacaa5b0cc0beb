import type { Test } from 'tap'
import { atOnce, SEED } from './attacks.js'

const BATCH = 500
const AT_ONCE = 32

/**
 * Tries attacks, many at once. After each batch, when nothing is under way, `between` says what is wrong with what they
 * left behind. A failure names its attack.
 */
export async function campaign<T>(
  t: Test,
  attacks: Iterable<T>,
  attempt: (attack: T, index: number) => Promise<void>,
  between: () => readonly string[] | Promise<readonly string[]> = () => [],
): Promise<void> {
  let count = 0
  for (const batch of inBatches(attacks)) {
    await atOnce(
      batch.map(attack => ({ attack, index: count++ })),
      AT_ONCE,
      async ({ attack, index }) => {
        try {
          await attempt(attack, index)
        } catch (error) {
          const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
          throw new Error(`seed ${SEED}, attack ${index}, ${JSON.stringify(attack).slice(0, 3_000)}: ${what}`)
        }
      },
    )
    const left = await between()
    if (left.length > 0) throw new Error(`seed ${SEED}, attacks to ${count}: ${left.slice(0, 5).join('; ')}`)
  }
  t.ok(count > 0, `${count} attacks, seed ${SEED}`)
}

function* inBatches<T>(items: Iterable<T>): Generator<T[]> {
  let batch: T[] = []
  for (const item of items) {
    batch.push(item)
    if (batch.length === BATCH) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}
