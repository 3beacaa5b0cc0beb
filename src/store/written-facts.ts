/** What can be said in a header, as every media type that was written down once was. */
const MEDIA_TYPE = /^[\x20-\x7e\t]{0,16384}$/

/** Whether a journal says a media type there: a disk that fails says other things. */
export function isMediaType(value: unknown): value is string {
  return typeof value === 'string' && MEDIA_TYPE.test(value)
}

/** Whether it is a size in bytes. */
export function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/** Whether it is a moment, in milliseconds since 1970. */
export function isMoment(at: unknown): at is number {
  return typeof at === 'number' && Number.isFinite(at)
}
