import { createClient, type Client, type Place } from './client.js'

/** One demand of the distribution-spec. Its check returns when it is met and throws when it is not. */
export interface Case {
  readonly name: string
  readonly check: (client: Client) => Promise<void>
}

/** Cases of one category, each by its name. */
export function category(name: string, checks: Record<string, Case['check']>): Case[] {
  return Object.entries(checks).map(([title, check]) => ({ name: `${name}: ${title}`, check }))
}

/** Why each case failed, by its name; undefined for those that passed. */
export type Results = ReadonlyMap<string, string | undefined>

export async function runCases(cases: readonly Case[], place: Place): Promise<Results> {
  const client = createClient(place)
  try {
    const results = new Map<string, string | undefined>()
    const waiting = cases.values()
    const work = async (): Promise<void> => {
      for (const { name, check } of waiting) results.set(name, await reasonOf(check, client))
    }
    // A few at a time: most of a case is waiting.
    await Promise.all([work(), work(), work(), work()])
    return results
  } finally {
    await client.close()
  }
}

async function reasonOf(check: Case['check'], client: Client): Promise<string | undefined> {
  try {
    await check(client)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message.split('\n', 3).join(' ') : String(error)
  }
}

export function passing(results: Results): string[] {
  return [...results].flatMap(([name, reason]) => (reason === undefined ? [name] : [])).sort()
}

export function failing(results: Results): string[] {
  return [...results].flatMap(([name, reason]) => (reason === undefined ? [] : [name])).sort()
}
