import type { FastifyRequest } from 'fastify'
import { algorithmOf, digestOf, type Digest } from '../oci/digest.js'
import { pathOf } from '../oci/endpoint.js'
import type { Reference } from '../oci/reference.js'
import { headerOf } from '../upstream/headers.js'
import type { Answer } from '../upstream/send.js'
import { asDone, askHead, isStatus, isUncertain, type Outcome } from './confirm.js'
import { repositoryTarget } from './exchange.js'
import type { ManifestTarget } from './manifest-source.js'

/** 201 when the upstream has the manifest that was pushed under all that it was pushed as; undefined when it says otherwise. */
export async function confirmPush(
  request: FastifyRequest,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  if (!isUncertain(outcome) || !Buffer.isBuffer(request.body)) return undefined
  const target = repositoryTarget(request, 'manifest')
  const { reference, tags } = target.endpoint
  const algorithm = 'digest' in reference ? algorithmOf(reference.digest) : undefined
  const pushed = digestOf(request.body, algorithm)
  for (const each of [reference, ...tags.map(tag => ({ tag }))])
    if (!(await standsFor(request, target, each, pushed, signal))) return undefined
  return asDone(201, tags.length > 0 ? { 'oci-tag': tags.join(', ') } : {})
}

/** 202 when the upstream no longer has what was to be deleted. */
export async function confirmDeletion(
  request: FastifyRequest,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  if (!isUncertain(outcome)) return undefined
  if (isStatus(outcome, 404)) return asDone(202)
  const target = repositoryTarget(request, 'manifest')
  const { statusCode } = await ask(request, target, target.endpoint.reference, signal)
  return statusCode === 404 ? asDone(202) : undefined
}

async function standsFor(
  request: FastifyRequest,
  target: ManifestTarget,
  reference: Reference,
  digest: Digest,
  signal: AbortSignal,
): Promise<boolean> {
  const { statusCode, headers } = await ask(request, target, reference, signal)
  if (statusCode !== 200) return false
  // Whoever has it under its digest has it; a tag's digest has to be said.
  return 'digest' in reference || headerOf(headers, 'docker-content-digest') === digest
}

function ask(
  request: FastifyRequest,
  { endpoint, place }: ManifestTarget,
  reference: Reference,
  signal: AbortSignal,
): Promise<Answer> {
  const name = place.upstreamRepository
  const pushedAs = request.headers['content-type']
  return askHead(request, place, {
    action: 'BatchGetImage',
    path: pathOf({ ...endpoint, name, reference, tags: [] }),
    // Otherwise ECR converts what a tag stands for, and names the digest of that.
    ...(pushedAs !== undefined && { accept: pushedAs }),
    signal,
  })
}
