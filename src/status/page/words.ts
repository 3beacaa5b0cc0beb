const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A time in milliseconds as people say it, such as `11 h 40 min`. */
export function span(ms: number): string {
  if (ms < MINUTE) return `${Math.max(0, Math.round(ms / 1000))} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`
  const [large, small, units] =
    ms < DAY ? [HOUR, MINUTE, ['h', 'min'] as const] : [DAY, HOUR, ['d', 'h'] as const]
  const rest = Math.floor((ms % large) / small)
  return `${Math.floor(ms / large)} ${units[0]}${rest > 0 ? ` ${rest} ${units[1]}` : ''}`
}

export function ago(ms: number): string {
  return ms < 5_000 ? 'just now' : `${span(ms)} ago`
}

/** A share from 0 to 1. */
export function percent(share: number): string {
  const hundredths = share * 100
  // Nearly all is not all.
  const digits =
    hundredths > 99 && hundredths < 100 ? Math.min(99.9, hundredths).toFixed(1) : hundredths.toFixed(0)
  return `${digits} %`
}

export function dollars(amount: number): string {
  if (amount > 0 && amount < 0.01) return 'under $0.01'
  return `$${amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
}

export function count(number: number): string {
  return number.toLocaleString('en-US')
}

export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}

/** The beginning of a digest, by which people tell it from others. */
export function shortDigest(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 13)
}
