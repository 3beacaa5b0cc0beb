/** Keys of the documented configuration that a later version will have, and what to say to who uses them today. */
const NOT_YET: Readonly<Record<string, string>> = {
  'cache.shared': 'this version does not have a shared cache yet; take the key out',
  coordination: 'this version does not have coordination of replicas yet; take the key out',
}

/** What to say about a key that is known but not there yet, or undefined. Places in lists are left out of the path. */
export function notYet(path: readonly (string | number)[], key: string): string | undefined {
  const name = [...path.filter(each => typeof each === 'string'), key].join('.')
  return Object.hasOwn(NOT_YET, name) ? NOT_YET[name] : undefined
}

/** The same for the name of an environment variable without its prefix, such as `CACHE_TAGS_TTL`. */
export function notYetInEnvironment(name: string): string | undefined {
  const key = Object.keys(NOT_YET).find(each => {
    const variable = each.replaceAll('.', '_').toUpperCase()
    return name === variable || name.startsWith(`${variable}_`)
  })
  return key === undefined ? undefined : NOT_YET[key]
}
