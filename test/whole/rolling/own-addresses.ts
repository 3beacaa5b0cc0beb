import { randomInt } from 'node:crypto'

/** Loopback addresses that no other test has: whoever is started anew on one finds its port free (Linux has 127.0.0.0/8). */
export function ownAddresses<Count extends number>(count: Count): readonly string[] & { length: Count } {
  const network = `127.${randomInt(1, 255)}.${randomInt(0, 255)}`
  return Array.from({ length: count }, (_, index) => `${network}.${index + 1}`) as string[] & {
    length: Count
  }
}
