import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isDeeperThan, MAX_MANIFEST_DEPTH } from '../oci/json-depth.js'
import { OciError } from '../oci/error.js'
import { MAX_MANIFEST_BYTES } from '../oci/media-type.js'
import { ClientGone } from './client-gone.js'
import { exchangeOf } from './exchange.js'

/** Has the manifests that are pushed read as a whole, within the bounds of the mirror's memory. */
export function manifestBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', readManifest)
}

async function readManifest(request: FastifyRequest, payload: FastifyRequest['raw']): Promise<Buffer> {
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
  if (isDeeperThan(bytes, MAX_MANIFEST_DEPTH)) {
    share.refused('manifestDepth')
    throw new OciError('MANIFEST_INVALID', `A manifest may nest ${MAX_MANIFEST_DEPTH} levels deep.`)
  }
  return bytes
}
