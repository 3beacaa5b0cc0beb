/** Keys of the documented configuration that a later version will have, and what to say to who uses them today. */
const NOT_YET: Readonly<Record<string, string>> = {
  cache: 'this version does not have the cache yet: everything streams through; take the key out',
  createRepositories: 'this version does not create repositories yet; take the key out',
  coordination: 'this version does not have coordination of replicas yet; take the key out',
}

/** What to say about a key that is known but not there yet, or undefined. */
export function notYet(key: string): string | undefined {
  return Object.hasOwn(NOT_YET, key) ? NOT_YET[key] : undefined
}

/** The same for the name of an environment variable without its prefix, such as `CACHE_MAXSIZE`. */
export function notYetInEnvironment(name: string): string | undefined {
  const key = Object.keys(NOT_YET).find(
    each => name === each.toUpperCase() || name.startsWith(`${each.toUpperCase()}_`),
  )
  return key === undefined ? undefined : NOT_YET[key]
}
