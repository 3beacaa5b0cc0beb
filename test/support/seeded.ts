/** Numbers that are the same for the same seed (mulberry32). */
export interface Dice {
  /** A whole number from 0 to below `count`. */
  readonly below: (count: number) => number
  readonly pick: <T>(from: readonly T[]) => T
  /** True once in so many times. */
  readonly onceIn: (count: number) => boolean
}

export function dice(seed: number): Dice {
  let state = seed >>> 0
  const below = (count: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * count)
  }
  return {
    below,
    pick(from) {
      const picked = from[below(from.length)]
      if (picked === undefined) throw new Error('There is nothing to pick from.')
      return picked
    },
    onceIn: count => below(count) === 0,
  }
}
