import { Client, type Door, type Verify } from './client.js'
import type { Wanted } from './wanted.js'

export interface LoadOptions {
  readonly connections: number
  readonly verify: Verify
  /** Asked before each request, with how many there were. */
  readonly goesOn: (requests: number) => boolean
}

/** Asks for one after the other of `wanted` on each connection, and gives how many answers came. */
export async function load(
  door: Door,
  wanted: readonly Wanted[],
  { connections, verify, goesOn }: LoadOptions,
): Promise<number> {
  let requests = 0
  const one = (): Promise<void> =>
    Client.with(door, async client => {
      while (goesOn(requests)) {
        const next = wanted[requests++ % wanted.length]
        if (next) await client.get(next, verify)
      }
    })
  await Promise.all(Array.from({ length: connections }, one))
  return requests
}
