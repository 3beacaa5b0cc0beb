/** Longer texts say no more about what is wrong with them. */
const LONGEST = 64

/** `name:password`, which is no address with a port, no URL and no ARN. */
const PAIR = /^(?!arn:)[\w.@-]{1,64}:(?!\/\/)(?!\d{1,5}$)./
const ADDRESS = /^[\da-f:.[\]/]+$/i
/** As keys and tokens are: without the separators of names, and with digits among letters. */
const KEY = /^(?=.*\d)(?=.*[a-z])[\w+=~!#$%^&*-]{16,}$/i

/**
 * A text of the configuration as an error may show it, in quotes; what may be a secret that stands in the wrong place is
 * not shown.
 */
export function shown(text: string): string {
  const bare = text.replace(/^([a-z]+:\/\/).*@/i, '$1…@').replace(/[?#].*$/s, '…')
  if ((PAIR.test(bare) && !ADDRESS.test(bare)) || KEY.test(bare)) return 'a value that is not shown here'
  return JSON.stringify(bare.slice(0, LONGEST))
}

/** The names of settings, and what they are mistyped as, are letters. */
const NAME = /^[A-Za-z_-]{1,32}$/

/** A key that no setting has, for an error: its name, unless it may be a secret. */
export function shownKey(key: string): string {
  return NAME.test(key) ? key : '(a key that is not shown here)'
}
