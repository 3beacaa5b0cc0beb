import { fail, reply, repositoryMissing } from './reply.js'
import { sendContent } from './send-content.js'
import type { RepositoryVisit } from './stand.js'

/** HEAD is answered here; GET is sent to the layer bucket, or answered by a registry that serves blobs itself. */
export async function readBlob(visit: RepositoryVisit, digest: string): Promise<void> {
  const { knobs, repository, request } = visit
  if (!repository) {
    repositoryMissing(visit)
    return
  }
  const content = repository.blobs.get(digest)
  if (!content || repository.isArchived(digest)) {
    fail(visit, 404, 'BLOB_UNKNOWN', `The layer with digest '${digest}' does not exist`)
    return
  }
  const headers = { 'Content-Type': knobs.blobHeadContentType, 'Docker-Content-Digest': digest }
  if (request.method === 'HEAD') {
    const ranges = knobs.blobRedirect ? {} : { 'Accept-Ranges': 'bytes' }
    reply(visit, 200, { ...headers, ...ranges, 'Content-Length': content.size })
    return
  }
  if (knobs.layerInaccessibleUntilTagged && !repository.references(digest)) {
    const text = `The layer with digest '${digest}' is not available because it is not associated with an image`
    fail(visit, 404, 'BLOB_UNKNOWN', text)
    return
  }
  if (knobs.blobRedirect) {
    const location = visit.stand.bucket.locationOf(content, visit.registry)
    reply(visit, knobs.redirectStatus, location === null ? {} : { Location: location })
    return
  }
  await sendContent(
    visit,
    content,
    knobs.s3,
    {
      'Docker-Distribution-Api-Version': 'registry/2.0',
      ...(knobs.warnings.length > 0 && { Warning: knobs.warnings.join(', ') }),
      'Content-Type': 'application/octet-stream',
      ...(knobs.digestOnGetBlob && { 'Docker-Content-Digest': digest }),
    },
    () =>
      fail(visit, 416, 'SIZE_INVALID', 'The requested range is not satisfiable', {
        'Content-Range': `bytes */${content.size}`,
      }),
  )
}

export function deleteBlob(visit: RepositoryVisit, digest: string): void {
  if (!visit.knobs.deleteBlob) {
    fail(visit, 405, 'UNSUPPORTED', 'The operation is unsupported.')
    return
  }
  if (!visit.repository) {
    repositoryMissing(visit)
    return
  }
  if (!visit.repository.blobs.delete(digest)) {
    fail(visit, 404, 'BLOB_UNKNOWN', 'blob unknown to registry')
    return
  }
  reply(visit, 202)
}
