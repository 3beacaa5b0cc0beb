import { z } from 'zod'
import type { Repository } from '../oci/reference.js'
import { OciError, type OciErrorCode } from '../oci/error.js'
import { arnsIn } from './arn.js'
import { requestIdOf } from './headers.js'
import { mayPass } from './may-pass.js'
import { readBody } from './read-body.js'
import { retryAfterOf } from './retry-after.js'
import type { EcrAction } from './ecr-action.js'
import type { Answer } from './send.js'

/** What a refused request was about, for the words of the refusal. */
export interface RefusedRequest {
  readonly action: EcrAction
  /** The upstream's name in the configuration. */
  readonly upstream: string
  readonly repository: Repository | undefined
  /** What a 404 without an OCI error says is missing, where that does not follow from the action. */
  readonly missing?: Missing
}

/** A missing thing: its error code, and its name in a sentence. */
export interface Missing {
  readonly code: OciErrorCode
  /** Stands behind "has no". */
  readonly what: string
}

/** RFC 5842, section 7.2: what the gate answers to a request of this mirror's own. */
const LOOP_DETECTED = 508

/** As much of an error's body as is looked at, in bytes. */
const MAX_ERROR_BYTES = 64 * 1024

const OciErrors = z.object({
  errors: z.array(z.looseObject({ code: z.string(), message: z.string().optional() })).min(1),
})

/**
 * An upstream's answer other than the hoped-for one, as the client is told of it: what is the client's business
 * verbatim, ECR's 401 never, its 403 as the permission that is missing, and its failures as what they are.
 * Reads the answer's body to its end, or destroys it.
 */
export async function refusalOf(answer: Answer, request: RefusedRequest): Promise<OciError> {
  const bytes = await readBody(answer.body, MAX_ERROR_BYTES).catch(() => undefined)
  const text = bytes?.toString('utf8') ?? ''
  const status = answer.statusCode
  if (status === 401) return new CredentialsRefused(request.upstream)
  if (status === 403) return denied(answer, request, text)
  if (status === 429) {
    return new OciError(
      'TOOMANYREQUESTS',
      `ECR limits the rate of ${request.action} and is at that limit; try again.`,
      { retryAfter: (retryAfterOf(answer.headers) ?? 1000) / 1000 },
    )
  }
  if (status >= 400 && status < 500) return clientsBusiness(answer, request, text)
  if (status === LOOP_DETECTED) {
    return new OciError(
      'UNKNOWN',
      `The upstream "${request.upstream}" leads back to this mirror; its operator has to look at its endpoint and at DNS.`,
      { status: 502 },
    )
  }
  return new OciError('UNKNOWN', `The upstream "${request.upstream}" failed on this request; try again.`, {
    status: 502,
    cause: { status },
  })
}

/** The mirror's own credentials do not work. The client's are right: a 401 would send its user after the wrong cause. */
export class CredentialsRefused extends OciError {
  constructor(upstream: string) {
    super(
      'UNKNOWN',
      `The upstream "${upstream}" refuses the mirror's own AWS credentials; its operator has to look.`,
      { status: 503, retryAfter: 10 },
    )
  }
}

/** There is no such repository, in the upstream's own words; not what this mirror makes of a 404 that says nothing. */
export class RepositoryUnknown extends OciError {}

/** The first error of an OCI error body, when the text is one. */
export function ociErrorIn(text: string): { readonly code: string; readonly message: string } | undefined {
  try {
    const first = OciErrors.parse(JSON.parse(text)).errors[0]
    return first && { code: first.code, message: first.message ?? '' }
  } catch {
    return undefined
  }
}

/** What a 404 without an OCI error says is missing, by what was asked. */
const MISSING: Readonly<Record<EcrAction, Missing>> = {
  GetAuthorizationToken: { code: 'UNSUPPORTED', what: 'such endpoint' },
  BatchCheckLayerAvailability: { code: 'BLOB_UNKNOWN', what: 'such blob' },
  GetDownloadUrlForLayer: { code: 'BLOB_UNKNOWN', what: 'such blob' },
  BatchGetImage: { code: 'MANIFEST_UNKNOWN', what: 'such manifest' },
  BatchDeleteImage: { code: 'MANIFEST_UNKNOWN', what: 'such manifest' },
  InitiateLayerUpload: { code: 'NAME_UNKNOWN', what: 'such repository' },
  UploadLayerPart: { code: 'BLOB_UPLOAD_UNKNOWN', what: 'such upload' },
  CompleteLayerUpload: { code: 'BLOB_UPLOAD_UNKNOWN', what: 'such upload' },
  PutImage: { code: 'NAME_UNKNOWN', what: 'such repository' },
  ListImages: { code: 'NAME_UNKNOWN', what: 'such repository' },
  // By its route an old registry knows no such endpoint, and clients look for the tag then (distribution-spec,
  // "Unavailable Referrers API"); NAME_UNKNOWN would keep oras-go from that (Repository.referrersPageByAPI).
  ListImageReferrers: { code: 'UNSUPPORTED', what: 'referrers API' },
  // The specification has no catalog, so it is the endpoint that is missing.
  DescribeRepositories: { code: 'UNSUPPORTED', what: 'catalog' },
}

/** A missing image, an immutable tag, a bad manifest: the upstream's words, if they are an OCI error of its. */
function clientsBusiness(answer: Answer, request: RefusedRequest, text: string): OciError {
  const { action, upstream, repository } = request
  const status = answer.statusCode
  const own = ociErrorIn(text)
  const isUnknown = status === 404 && own?.code === 'NAME_UNKNOWN'
  if (own && mayPass(text)) {
    const Refusal = isUnknown ? RepositoryUnknown : OciError
    return new Refusal('UNKNOWN', own.message, { status, body: text })
  }
  if (isUnknown)
    return new RepositoryUnknown(
      'NAME_UNKNOWN',
      `The upstream registry has no such repository in ${repository ?? 'it'}.`,
    )
  if (status === 404) {
    const { code, what } = request.missing ?? MISSING[action]
    const where = repository === undefined ? '' : ` for ${repository}`
    return new OciError(code, `The upstream "${upstream}" has no ${what}${where}.`, { status })
  }
  return new OciError(
    'UNSUPPORTED',
    `The upstream "${upstream}" refused this request (${action}, status ${status}).`,
    { status },
  )
}

/** IAM's own word for what is missing, as in "is not authorized to perform: ecr:BatchGetImage on resource". */
const MISSING_PERMISSION = /not authorized to perform: (ecr(?:-public)?:[A-Za-z]{1,64})/

function denied(answer: Answer, { action, upstream, repository }: RefusedRequest, text: string): OciError {
  const permission = MISSING_PERMISSION.exec(text)?.[1] ?? `ecr:${action}`
  const requestId = requestIdOf(answer.headers)
  return new OciError(
    'DENIED',
    `ecr-mirror: ECR denied this: the mirror's AWS role lacks ${permission} on ${repository ?? 'the registry'} ` +
      `of the upstream "${upstream}"` +
      (requestId === undefined ? '.' : ` (AWS request ${requestId}).`),
    // Who was denied what is for the log alone.
    { cause: { status: 403, arns: arnsIn(text) } },
  )
}
