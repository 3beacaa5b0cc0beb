import { MalformedToken } from './token-problem.js'
import { arnsIn } from './arn.js'

/**
 * An error of the AWS SDK, of which printing shows no more than the log may have. AWS's words stay out of it: those about
 * a signature that does not match repeat the signed request, session token and all. What is left tells who was denied what.
 */
export class AwsCause {
  readonly type: string
  /** Of a failed system call. */
  readonly code?: string
  readonly requestId?: string
  readonly arns?: readonly string[]
  readonly #error: Error

  constructor(error: Error) {
    this.#error = error
    this.type = error.name.slice(0, 128)
    if ('code' in error && typeof error.code === 'string') this.code = error.code.slice(0, 128)
    const requestId = requestIdOf(error)
    if (requestId !== undefined) this.requestId = requestId
    const arns = arnsIn(error.message)
    if (arns.length > 0) this.arns = arns
  }

  /** For whoever asked about these very credentials. */
  get error(): Error {
    return this.#error
  }
}

/** What an error may be the cause of another as. */
export function awsCauseOf(error: unknown): AwsCause | MalformedToken | { readonly type: string } {
  // These words are our own.
  if (error instanceof MalformedToken) return error
  return error instanceof Error ? new AwsCause(error) : { type: typeof error }
}

function requestIdOf(error: Error): string | undefined {
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined
  if (typeof metadata !== 'object' || metadata === null || !('requestId' in metadata)) return undefined
  const { requestId } = metadata
  return typeof requestId === 'string' && /^[\w-]{1,128}$/.test(requestId) ? requestId : undefined
}
