import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import { compilePattern } from '../access/pattern.js'
import { OciError } from '../oci/error.js'
import { ociErrorIn } from '../upstream/dialect.js'
import { discard } from '../upstream/discard.js'
import { peek } from '../upstream/peek.js'
import type { Answer, OutboundRequest } from '../upstream/send.js'
import { untilAborted } from '../until-aborted.js'
import type { Cache } from './cache.js'
import { repositoryTarget } from './exchange.js'

/** As much of a refusal as is looked at, in bytes. */
const MAX_REFUSAL = 64 * 1024

/**
 * Whoever may push to a repository that is missing has it created, where the operator wants that, and nothing counts any
 * more that was known of one of the same name. Gives the answer, or undefined when the request is to be sent again. Throws an OciError when the repository cannot be made.
 */
export async function createMissing(
  request: FastifyRequest,
  answer: Answer,
  body: OutboundRequest['body'],
  signal: AbortSignal,
  cache: Cache | undefined,
): Promise<Answer | undefined> {
  if (answer.statusCode !== 404) return answer
  const { upstream, repository, upstreamRepository } = repositoryTarget(request, 'uploads').place
  const { createRepositories } = upstream.settings
  const wanted = createRepositories?.match.some(pattern => compilePattern(pattern)(repository))
  if (!wanted || !upstream.createRepository) return answer
  const peeked = await peek(answer, MAX_REFUSAL)
  if (ociErrorIn(peeked.beginning.toString('utf8'))?.code !== 'NAME_UNKNOWN') return peeked.answer
  discard(peeked.answer.body)
  await cache?.forgetRepository(request)
  await untilAborted(upstream.createRepository(upstreamRepository), signal)
  request.log.info({ upstream: upstream.name, repository: upstreamRepository }, 'repository created')
  if (!(body instanceof Readable)) return undefined
  throw new OciError(
    'UNKNOWN',
    'ecr-mirror: the repository was missing and is there now, but this request cannot be sent twice; push again.',
    { status: 503, retryAfter: 1 },
  )
}
