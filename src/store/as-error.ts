/** What was thrown, as an error; some throw other things. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
