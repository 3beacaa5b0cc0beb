import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Repository, Upload } from './accounts.js'
import { Spool } from './content.js'
import { fail, reply, repositoryMissing, urlOf } from './reply.js'
import { bodyChunks } from './server.js'
import type { RepositoryVisit } from './stand.js'

/** POST blobs/uploads/: a session, or at once a mounted or a whole blob. */
export async function startUpload(visit: RepositoryVisit): Promise<void> {
  const { knobs, query, registry, name } = visit
  const created = knobs.createOnPush.some(prefix => name.startsWith(prefix))
  const repository = visit.repository ?? (created ? registry.createRepository(name) : undefined)
  if (!repository) {
    repositoryMissing(visit)
    return
  }

  const mount = query.get('mount')
  const source = registry.repositories.get(query.get('from') ?? '')?.blobs.get(mount ?? '')
  if (knobs.blobMounting && mount !== null && source) {
    repository.blobs.set(mount, source)
    blobCreated(visit, mount)
    return
  }
  const algorithm = query.get('digest-algorithm')
  if (algorithm !== null && !isSupported(visit, `${algorithm}:`)) {
    fail(visit, 400, 'DIGEST_INVALID', 'The digest algorithm is not supported')
    return
  }
  const upload: Upload = {
    id: randomUUID(),
    spool: new Spool(visit.stand.spoolDirectory, knobs.sha512 ? ['sha256', 'sha512'] : ['sha256']),
    parts: [],
    busy: false,
  }
  const digest = query.get('digest')
  if (knobs.singlePost && digest !== null) {
    await takeIn(visit, upload)
    await sleep(knobs.thinking.CompleteLayerUpload ?? 0)
    return complete(visit, repository, upload, digest)
  }
  repository.uploads.set(upload.id, upload)
  session(visit, 202, upload, '0-0')
}

/** PATCH: one part. */
export async function patchUpload(visit: RepositoryVisit, id: string): Promise<void> {
  const upload = visit.repository?.uploads.get(id)
  if (!upload) {
    uploadMissing(visit, id)
    return
  }
  if (!fits(visit, upload)) return
  await takeIn(visit, upload)
  await sleep(visit.knobs.thinking.UploadLayerPart ?? 0)
  session(visit, visit.knobs.patchStatus, upload, rangeAfter(visit, upload))
}

/** PUT: the last part, the only one, or nothing more; then the digest decides. */
export async function finishUpload(visit: RepositoryVisit, id: string): Promise<void> {
  const { repository, query } = visit
  const upload = repository?.uploads.get(id)
  if (!repository || !upload) {
    uploadMissing(visit, id)
    return
  }
  if (!fits(visit, upload)) return
  await takeIn(visit, upload)
  await sleep(visit.knobs.thinking.CompleteLayerUpload ?? 0)
  await complete(visit, repository, upload, query.get('digest') ?? '')
}

export function uploadStatus(visit: RepositoryVisit, id: string): void {
  const upload = visit.repository?.uploads.get(id)
  if (!upload || visit.knobs.partStatusGet === 404) {
    uploadMissing(visit, id)
    return
  }
  session(visit, visit.knobs.partStatusGet, upload, rangeOf(upload.spool.size))
}

export async function abortUpload(visit: RepositoryVisit, id: string): Promise<void> {
  const upload = visit.repository?.uploads.get(id)
  if (!visit.repository || !upload) {
    uploadMissing(visit, id)
    return
  }
  visit.repository.uploads.delete(id)
  await upload.spool.discard()
  reply(visit, 204)
}

/** Appends the request's body. A body that breaks off leaves what came of it in the session. */
async function takeIn(visit: RepositoryVisit, upload: Upload): Promise<void> {
  const before = upload.spool.size
  upload.busy = true
  try {
    for await (const chunk of bodyChunks(visit)) await upload.spool.append(chunk)
  } finally {
    upload.busy = false
    if (upload.spool.size > before) upload.parts.push(upload.spool.size - before)
  }
}

/** Whether the part begins where the last one ended; answers when it does not. */
function fits(visit: RepositoryVisit, upload: Upload): boolean {
  const header = visit.request.headers['content-range']
  const start =
    header === undefined ? upload.spool.size : Number(/^(?:bytes )?(\d+)-\d+/.exec(header)?.[1] ?? 'NaN')
  if (start === upload.spool.size && !upload.busy) return true
  if (visit.stand.profile === 'spec') {
    session(visit, 416, upload, rangeOf(upload.spool.size))
  } else {
    reply(visit, 416)
  }
  return false
}

async function complete(
  visit: RepositoryVisit,
  repository: Repository,
  upload: Upload,
  digest: string,
): Promise<void> {
  const { knobs } = visit
  if (!/^sha256:[0-9a-f]{64}$|^sha512:[0-9a-f]{128}$/.test(digest) || !isSupported(visit, digest)) {
    fail(visit, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
    return
  }
  repository.uploads.delete(upload.id)
  if (upload.parts.slice(0, -1).some(size => size < knobs.minPart)) {
    await upload.spool.discard()
    const text = 'All layer parts except the last part should be at least 5MB'
    fail(visit, 400, 'BLOB_UPLOAD_INVALID', text)
    return
  }
  if (upload.spool.digest(digest.slice(0, digest.indexOf(':'))) !== digest) {
    await upload.spool.discard()
    const [code, text] =
      visit.stand.profile === 'spec'
        ? ['DIGEST_INVALID', 'provided digest did not match uploaded content']
        : ['BLOB_UPLOAD_INVALID', 'None of the provided layer digests match the calculated layer digest']
    fail(visit, 400, code, text)
    return
  }
  const content = await upload.spool.seal()
  // A blob that is there already stays the object it is.
  if (repository.blobs.has(digest)) await upload.spool.discard()
  else repository.blobs.set(digest, content)
  repository.restored.add(digest)
  blobCreated(visit, digest)
}

function blobCreated(visit: RepositoryVisit, digest: string): void {
  reply(visit, 201, {
    Location: urlOf(visit, `/v2/${visit.name}/blobs/${digest}`),
    'Docker-Content-Digest': digest,
  })
}

function session(visit: RepositoryVisit, status: number, upload: Upload, range: string): void {
  reply(visit, status, {
    Location: urlOf(visit, `/v2/${visit.name}/blobs/uploads/${upload.id}`),
    Range: range,
    ...(visit.knobs.uuidHeader && { 'Docker-Upload-UUID': upload.id }),
  })
}

/** ECR's Range stays at the end of the first part, though what came later is there. */
function rangeAfter(visit: RepositoryVisit, upload: Upload): string {
  return rangeOf(visit.knobs.staleRange ? (upload.parts[0] ?? 0) : upload.spool.size)
}

function rangeOf(size: number): string {
  return `0-${Math.max(0, size - 1)}`
}

function uploadMissing(visit: RepositoryVisit, id: string): void {
  fail(visit, 404, 'BLOB_UPLOAD_UNKNOWN', `The upload with id '${id}' does not exist`)
}

function isSupported(visit: RepositoryVisit, digest: string): boolean {
  return digest.startsWith('sha256:') || (visit.knobs.sha512 && digest.startsWith('sha512:'))
}
