import type { OciError } from '../oci/error.js'
import { refusalOf, type Missing } from '../upstream/dialect.js'
import type { EcrAction } from '../upstream/ecr-action.js'
import type { Answer } from '../upstream/send.js'
import type { Place } from './target.js'

/** An upstream's refusal, as the client is told of it. Reads the answer's body to its end, or destroys it. */
export function refuse(
  answer: Answer,
  { place }: { readonly place: Place },
  action: EcrAction,
  missing?: Missing,
): Promise<OciError> {
  return refusalOf(answer, {
    action,
    upstream: place.upstream.name,
    repository: place.upstreamRepository,
    ...(missing && { missing }),
  })
}
