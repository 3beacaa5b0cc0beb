import { isIP } from 'node:net'
import { z } from 'zod'
import { Secret } from '../secret.js'
import { parseDuration, parseFreeSpace, parseRate, parseSize } from './units.js'

declare module 'zod' {
  interface GlobalMeta {
    /** The value must never be shown, and its environment form also comes as `…_FILE`. */
    secret?: true
    /** The value is a path, relative to the file that names it. */
    path?: true
  }
}

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** A text of the form that `accepts` tells; `expected` completes "expected …" in an error. */
export function text(
  expected: string,
  accepts: (text: string) => boolean | RegExpExecArray | null = notEmpty,
) {
  return z.string({ error: expected }).refine(value => Boolean(accepts(value)), { error: expected })
}

function notEmpty(value: string): boolean {
  return value.trim() !== ''
}

/** As `text`, for what must never be shown. */
export function secret(expected: string, accepts: (text: string) => boolean) {
  return text(expected, accepts)
    .meta({ secret: true })
    .transform(value => new Secret(value))
}

/** A text that `parse` turns into something else; undefined means that it is not of the expected form. */
export function parsed<T>(expected: string, parse: (text: string) => T | undefined) {
  return z.string({ error: expected }).transform((value, context): T => {
    const result = parse(value)
    if (result !== undefined) return result
    context.addIssue({ code: 'custom', message: expected })
    return z.NEVER
  })
}

/** Either one or a list of at least one; always a list afterwards. */
export function oneOrMore<T extends z.ZodType>(item: T) {
  return z
    .union([item, z.array(item).min(1, { error: 'a list that is not empty' })])
    .transform((value): z.output<T>[] => (Array.isArray(value) ? value : [value]) as z.output<T>[])
}

export function list<T extends z.ZodType>(item: T, expected = 'a list') {
  return z.array(item, { error: expected })
}

/** A path; relative ones are resolved when the file that names it is known. */
export function path(description: string) {
  return text('the path of a file', value => notEmpty(value) && !/\p{Cc}/u.test(value)).meta({
    description,
    path: true,
  })
}

export const listenAddress = parsed('HOST:PORT such as 0.0.0.0:5000 or [::]:5000', parseListenAddress)

function parseListenAddress(value: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):(\d{1,5})$/i.exec(value)
  if (!match) return undefined
  const [, six, name] = match
  const port = Number(match[3])
  if (port > 65535 || (six !== undefined && isIP(six) !== 6)) return undefined
  return { host: six ?? name ?? '', port }
}

/** An origin: scheme, host and port, with nothing after them. */
export const origin = parsed('http(s)://HOST or http(s)://HOST:PORT, without path, query or user', value => {
  if (!/^https?:\/\//i.test(value) || !URL.canParse(value)) return undefined
  const url = new URL(value)
  const bare = url.pathname === '/' && !/[?#@]/.test(value)
  return bare ? url.origin : undefined
})

/** An address range in CIDR notation (RFC 4632; RFC 4291, section 2.3). */
export const addressRange = text('a range such as 10.0.0.0/8; a single address is 10.0.0.7/32', value => {
  const [address = '', prefix = '', ...rest] = value.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return false
  return Number(prefix) <= (version === 4 ? 32 : 128)
})

/** A duration as people write it; milliseconds afterwards. */
export const duration = parsed('a duration such as 500ms, 25s, 10m or 24h', parseDuration)

/** What `forever` is in milliseconds. */
export const FOREVER = Number.MAX_SAFE_INTEGER

/** A duration, or `forever`; milliseconds afterwards. */
export const durationOrForever = parsed('a duration such as 24h, or forever', value =>
  value === 'forever' ? FOREVER : parseDuration(value),
)

/** A duration that is not nothing, or `never`; milliseconds afterwards. */
export const durationOrNever = parsed(
  'a duration such as 24h, more than 0, or never',
  (value): number | 'never' | undefined => (value === 'never' ? value : parseDuration(value) || undefined),
)

/** A size as people write it; bytes afterwards. */
export const size = parsed('a size such as 512MiB or 100GiB', parseSize)

const LEAST_MANIFEST_MEMORY = 16 * 1024 * 1024

/** A size that the largest manifests and listings fit in; bytes afterwards. */
export const manifestMemory = parsed('a size of at least 16MiB, such as 256MiB', value => {
  const bytes = parseSize(value)
  return bytes !== undefined && bytes >= LEAST_MANIFEST_MEMORY ? bytes : undefined
})

/** A rate that is not nothing; bytes per second afterwards. */
export const rate = parsed('a rate such as 20MiB/s, more than 0', value => parseRate(value) || undefined)

/** What to keep free of a disk. */
export const freeSpace = parsed('a size such as 10GiB or a share such as 5%', parseFreeSpace)

/** A host, perhaps with a port, in lower case; a default port is left out, as clients do. */
export const hostAndPort = parsed('a host such as docker.io or hub.internal:5000, without a scheme', value =>
  /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/i.test(value)
    ? value.toLowerCase().replace(/:(?:80|443)$/, '')
    : undefined,
)

/** A host, perhaps with a port, in which `*` stands for a part of one label. */
export const hostPattern = parsed('a host such as *.s3.eu-west-1.amazonaws.com or 127.0.0.1:9000', value =>
  /^(?:[a-z0-9*](?:[a-z0-9.*-]*[a-z0-9*])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(value)
    ? value.toLowerCase()
    : undefined,
)

export function wholeNumber(minimum: number) {
  const expected = `a whole number, at least ${minimum}`
  return z.int({ error: expected }).min(minimum, { error: expected })
}

export function oneOf<const T extends readonly string[]>(values: T) {
  return z.enum(values, { error: `one of ${values.join(', ')}` })
}
