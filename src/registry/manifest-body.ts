import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ambiguityIn } from '../oci/ambiguity.js'
import { OciError } from '../oci/error.js'
import { MAX_MANIFEST_DEPTH } from '../oci/manifest-limits.js'
import { MAX_MANIFEST_BYTES } from '../oci/media-type.js'
import { digestInTurn } from '../store/digest-in-turn.js'
import type { ManifestReadings } from '../store/manifest-readings.js'
import { ClientGone } from './client-gone.js'
import { exchangeOf } from './exchange.js'

/**
 * Has the manifests that are pushed read as a whole, within the bounds of the mirror's memory. Those that can be understood
 * in two ways, or in none, are refused.
 */
export function manifestBodies(app: FastifyInstance, readings: ManifestReadings): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async (request: FastifyRequest, payload: FastifyRequest['raw']) => {
    const bytes = await collect(request, payload)
    if (bytes.length > 0) await refuseUnclear(request, bytes, readings)
    return bytes
  })
}

async function collect(request: FastifyRequest, payload: FastifyRequest['raw']): Promise<Buffer> {
  const { share } = exchangeOf(request)
  // What says that it is too large need not be read to find out.
  const mayFit = Number(request.headers['content-length'] ?? 0) <= MAX_MANIFEST_BYTES
  const bytes = mayFit
    ? await share.collect(payload, MAX_MANIFEST_BYTES).catch((error: unknown) => {
        throw error instanceof OciError ? error : new ClientGone()
      })
    : undefined
  if (!bytes) {
    share.refused('manifestSize')
    throw new OciError('MANIFEST_INVALID', 'A manifest may have at most 4 MiB.', { status: 413 })
  }
  return bytes
}

async function refuseUnclear(
  request: FastifyRequest,
  bytes: Buffer,
  readings: ManifestReadings,
): Promise<void> {
  const reading = await readings.read(await digestInTurn(bytes), bytes)
  if (reading.problem?.kind === 'depth') {
    exchangeOf(request).share.refused('manifestDepth')
    throw new OciError('MANIFEST_INVALID', `A manifest may nest ${MAX_MANIFEST_DEPTH} levels deep.`)
  }
  const ambiguity = ambiguityIn(reading, request.headers['content-type'])
  if (ambiguity !== undefined) throw new OciError('MANIFEST_INVALID', `The manifest ${ambiguity}.`)
}
