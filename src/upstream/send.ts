import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'

/**
 * The actions of the ECR API that stand behind registry requests; quotas and permissions go by them.
 * AWS: "Amazon ECR service quotas" and "Actions, resources, and condition keys for Amazon ECR".
 */
export const ECR_ACTIONS = [
  'GetAuthorizationToken',
  'BatchCheckLayerAvailability',
  'BatchGetImage',
  'GetDownloadUrlForLayer',
  'InitiateLayerUpload',
  'UploadLayerPart',
  'CompleteLayerUpload',
  'PutImage',
  'BatchDeleteImage',
  'ListImages',
  'ListImageReferrers',
  'DescribeRepositories',
] as const

export type EcrAction = (typeof ECR_ACTIONS)[number]

/** A request to an upstream registry, built from a parsed one: nothing in it was copied from a client unchecked. */
export interface OutboundRequest {
  readonly action: EcrAction
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  /** Path and query. */
  readonly path: string
  /** Lower-case names from the allow-list; neither Host nor Authorization, which are added on the way. */
  readonly headers: Readonly<Record<string, string>>
  /** A stream can be sent once; bytes can be sent again. */
  readonly body?: Readable | Buffer
  /** Ends the request, whether it waits, is being sent or is being answered. */
  readonly signal: AbortSignal
  /** How long, in milliseconds, the request may wait for its turn and be tried again before an answer begins. */
  readonly patience: number
}

/** An answer's status, headers and body; the body must be read to its end or destroyed. */
export type Answer = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>

/**
 * One step of the way out. Steps are stacked: retry(throttle(authorize(transport))).
 * Whatever status the upstream answers is an answer; what is thrown is an OciError, or the signal's reason.
 */
export type Send = (request: OutboundRequest) => Promise<Answer>
