import type { FastifyRequest } from 'fastify'
import { normalAccept } from '../oci/accept.js'
import { algorithmOf, parseDigest, type Digest } from '../oci/digest.js'
import { pathOf, queryOf } from '../oci/endpoint.js'
import { OciError } from '../oci/error.js'
import { MAX_MANIFEST_BYTES } from '../oci/media-type.js'
import { digestInTurn } from '../store/digest-in-turn.js'
import { discard } from '../upstream/discard.js'
import { headerOf, outboundHeaders } from '../upstream/headers.js'
import type { Answer } from '../upstream/send.js'
import { exchangeOf } from './exchange.js'
import { PATIENCE } from './patience.js'
import { readAnswer } from './read-answer.js'
import { refuse } from './refuse.js'
import { sendTimed } from './send-timed.js'
import type { RepositoryTarget } from './target.js'

export type ManifestTarget = RepositoryTarget<'manifest'>

/** A manifest as it is served: never transformed, its digest always known. */
export interface Manifest {
  readonly mediaType: string
  readonly digest: Digest
  /** In bytes. */
  readonly size: number
  /** Undefined when only its headers were asked for. */
  readonly bytes: Buffer | undefined
}

export type WholeManifest = Manifest & { readonly bytes: Buffer }

/**
 * What a HEAD upstream tells, by a client that takes what this one does or what `accept` says, or undefined when that
 * leaves the digest or the size open. Throws the refusal.
 */
export async function statManifest(
  request: FastifyRequest,
  target: ManifestTarget,
  signal: AbortSignal,
  accept = request.headers.accept,
): Promise<Manifest | undefined> {
  const answer = await ask(request, target, 'HEAD', signal, accept)
  if (answer.statusCode !== 200) throw await refuse(answer, target, 'BatchGetImage')
  discard(answer.body)
  const digest = parseDigest(headerOf(answer.headers, 'docker-content-digest') ?? '')
  const length = headerOf(answer.headers, 'content-length') ?? ''
  if (!digest || !/^\d{1,9}$/.test(length)) return undefined
  checkReference(target, digest)
  return { mediaType: mediaTypeOf(answer), digest, size: Number(length), bytes: undefined }
}

/** The manifest from the upstream, with a digest that is true. Throws the refusal, or 502 for what cannot be trusted. */
export async function fetchManifest(
  request: FastifyRequest,
  target: ManifestTarget,
  signal: AbortSignal,
): Promise<WholeManifest> {
  const answer = await ask(request, target, 'GET', signal, request.headers.accept)
  if (answer.statusCode !== 200) throw await refuse(answer, target, 'BatchGetImage')
  const { share } = exchangeOf(request)
  const { 'content-encoding': encoding = 'identity' } = answer.headers
  const { name: upstream } = target.place.upstream
  const bytes =
    encoding === 'identity'
      ? await readAnswer(answer, { limit: MAX_MANIFEST_BYTES, upstream, share, signal })
      : undefined
  if (!bytes) {
    if (encoding === 'identity') share.refused('manifestSize')
    discard(answer.body)
    throw untrustworthy(target, 'sent a manifest that is compressed or larger than 4 MiB')
  }
  // ECR's GET says no digest, and what another registry says is only believed when it is true.
  const { reference } = target.endpoint
  const said =
    'digest' in reference
      ? reference.digest
      : parseDigest(headerOf(answer.headers, 'docker-content-digest') ?? '')
  const digest = await digestInTurn(bytes, said && algorithmOf(said))
  if (said && digest !== said)
    throw untrustworthy(target, 'sent a manifest that does not have the digest it should have')
  return { mediaType: mediaTypeOf(answer), digest, size: bytes.length, bytes }
}

/** The path and query of a manifest at the upstream. */
export function upstreamPath({ endpoint, place }: ManifestTarget): string {
  const query = queryOf(endpoint)
  return pathOf({ ...endpoint, name: place.upstreamRepository }) + (query && `?${query}`)
}

function ask(
  request: FastifyRequest,
  target: ManifestTarget,
  method: 'GET' | 'HEAD',
  signal: AbortSignal,
  header: string | undefined,
): Promise<Answer> {
  const accept = normalAccept(header)
  return sendTimed(exchangeOf(request), target.place.upstream, {
    action: 'BatchGetImage',
    method,
    path: upstreamPath(target),
    headers: outboundHeaders(accept === '' ? {} : { accept }, ['accept']),
    signal,
    patience: PATIENCE.read,
  })
}

function checkReference(target: ManifestTarget, digest: Digest): void {
  const { reference } = target.endpoint
  if (
    'digest' in reference &&
    algorithmOf(reference.digest) === algorithmOf(digest) &&
    reference.digest !== digest
  ) {
    throw untrustworthy(target, 'names another digest than the one it was asked for')
  }
}

function mediaTypeOf({ headers }: Answer): string {
  return headerOf(headers, 'content-type') ?? 'application/octet-stream'
}

function untrustworthy({ place }: ManifestTarget, what: string): OciError {
  return new OciError(
    'UNKNOWN',
    `The upstream "${place.upstream.name}" ${what}; ecr-mirror does not pass it on.`,
    { status: 502 },
  )
}
