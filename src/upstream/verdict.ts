import { OciError } from '../oci/error.js'
import { CredentialsRefused } from './dialect.js'

/**
 * What an upstream's failure to give something says about it. `gone`: it is not there (404). `refused`: the answer is
 * no, to this request (401, 403 with a fresh token, and whatever else is the client's business). `away`: no answer
 * could be had; it may be there or not.
 */
export type Verdict = 'gone' | 'refused' | 'away'

/** Whether it is a no to this very thing: it is not there (404), or it is not to be had (403). */
export function saysNo(error: unknown): boolean {
  const verdict = verdictOf(error)
  return verdict === 'gone' || (verdict === 'refused' && error instanceof OciError && error.status === 403)
}

/** The verdict in what a request upstream threw; undefined for what says nothing about the upstream. */
export function verdictOf(error: unknown): Verdict | undefined {
  if (!(error instanceof OciError)) return undefined
  if (error.status === 404) return 'gone'
  if (error instanceof CredentialsRefused) return 'refused'
  return error.status === 429 || error.status >= 500 ? 'away' : 'refused'
}
