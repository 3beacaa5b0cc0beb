import { MalformedToken } from './token-problem.js'
import { arnsIn } from './arn.js'

/** What the log may have of an error of the AWS SDK. */
export interface AwsCause {
  readonly type: string
  /** Of a failed system call. */
  readonly code?: string
  readonly requestId?: string
  readonly arns?: readonly string[]
}

/**
 * AWS's words stay out of the log: those about a signature that does not match repeat the signed request, session
 * token and all. What is left tells who was denied what.
 */
export function awsCauseOf(error: unknown): AwsCause | MalformedToken {
  // These words are our own.
  if (error instanceof MalformedToken) return error
  if (!(error instanceof Error)) return { type: typeof error }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const requestId = requestIdOf(error)
  const arns = arnsIn(error.message)
  return {
    type: error.name.slice(0, 128),
    ...(code !== undefined && { code: code.slice(0, 128) }),
    ...(requestId !== undefined && { requestId }),
    ...(arns.length > 0 && { arns }),
  }
}

function requestIdOf(error: Error): string | undefined {
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined
  if (typeof metadata !== 'object' || metadata === null || !('requestId' in metadata)) return undefined
  const { requestId } = metadata
  return typeof requestId === 'string' && /^[\w-]{1,128}$/.test(requestId) ? requestId : undefined
}
