import { setTimeout as sleep } from 'node:timers/promises'
import type { Repository, StoredManifest } from './accounts.js'
import { converted } from './convert.js'
import { digestOfBytes } from './content.js'
import { factsOf, type ManifestFacts } from './manifest-facts.js'
import { fail, reply, repositoryMissing, urlOf } from './reply.js'
import { readBody } from './server.js'
import type { RepositoryVisit } from './stand.js'

const MAX_BYTES = 4 * 1024 * 1024
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

export async function readManifest(visit: RepositoryVisit, reference: string): Promise<void> {
  const { knobs, repository, request } = visit
  if (!repository) {
    repositoryMissing(visit)
    return
  }
  const found = repository.manifest(reference)
  const stored = found && !repository.archived.has(found.digest) ? found : undefined
  const byTag = !reference.includes(':')
  if (stored && byTag) {
    for (const each of [stored.digest, ...stored.facts.children]) repository.fetched.add(each)
  }
  const pulledThrough = knobs.pullThrough.some(prefix => visit.name.startsWith(prefix))
  if (!stored || (pulledThrough && !byTag && !repository.fetched.has(reference))) {
    fail(visit, 404, 'MANIFEST_UNKNOWN', 'Requested image not found')
    return
  }
  const manifest =
    byTag && knobs.acceptConversion
      ? await converted(stored, request.headers.accept ?? '', repository, reference)
      : stored
  const digest = request.method === 'HEAD' ? knobs.digestOnHeadManifest : knobs.digestOnGetManifest
  const headers = {
    'Content-Type': manifest.mediaType,
    ...(digest && { 'Docker-Content-Digest': manifest.digest }),
  }
  reply(visit, 200, headers, manifest.bytes)
}

export async function putManifest(visit: RepositoryVisit, reference: string): Promise<void> {
  const { knobs, request, registry, name, query } = visit
  const bytes = await readBody(visit, MAX_BYTES)
  await sleep(knobs.thinking.PutImage ?? 0)
  const created = knobs.createOnPush.some(prefix => name.startsWith(prefix))
  const repository = visit.repository ?? (created ? registry.createRepository(name) : undefined)
  if (!repository) {
    repositoryMissing(visit)
    return
  }
  if (!bytes) {
    const text = `Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Member must have length less than or equal to ${MAX_BYTES}'`
    fail(visit, knobs.manifestTooLargeStatus, 'UNSUPPORTED', text)
    return
  }
  const facts = factsOf(bytes)
  if (!facts) {
    badManifest(visit)
    return
  }
  const stored: StoredManifest = {
    bytes,
    facts,
    mediaType: facts.mediaType ?? request.headers['content-type'] ?? 'application/octet-stream',
    digest: digestOfBytes(bytes, reference.startsWith('sha512:') && knobs.sha512 ? 'sha512' : 'sha256'),
  }
  const byDigest = reference.includes(':')
  if (byDigest && stored.digest !== reference) {
    fail(visit, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
    return
  }
  if (missing(visit, repository, facts)) return
  const tags = byDigest ? (knobs.tagParameters ? query.getAll('tag') : []) : [reference]
  for (const tag of tags) {
    if (!TAG.test(tag)) {
      fail(visit, 400, 'TAG_INVALID', `The tag '${tag}' is not valid`)
      return
    }
    if (repository.tags.has(tag) && (repository.immutable || knobs.immutableTags)) {
      const text = `The image tag '${tag}' already exists in the '${name}' repository and cannot be overwritten because the repository is immutable.`
      fail(visit, 400, 'TAG_INVALID', text)
      return
    }
  }
  repository.manifests.set(stored.digest, stored)
  repository.archived.delete(stored.digest)
  for (const tag of tags) repository.tags.set(tag, stored.digest)
  reply(visit, 201, {
    Location: urlOf(visit, `/v2/${name}/manifests/${byDigest ? stored.digest : reference}`),
    ...(knobs.digestOnPutManifest && { 'Docker-Content-Digest': stored.digest }),
    ...(knobs.referrersHeaders && facts.subject !== undefined && { 'OCI-Subject': facts.subject }),
    ...(knobs.tagParameters && byDigest && tags.length > 0 && { 'OCI-Tag': tags.join(', ') }),
  })
}

export function deleteManifest(visit: RepositoryVisit, reference: string): void {
  const { repository } = visit
  if (!repository) {
    repositoryMissing(visit)
    return
  }
  const stored = repository.manifest(reference)
  if (!stored) {
    fail(visit, 404, 'MANIFEST_UNKNOWN', 'Requested image not found')
    return
  }
  if (reference.includes(':')) {
    const parent = [...repository.manifests.values()].find(each => each.facts.children.includes(reference))
    if (parent && visit.stand.profile === 'ecr') {
      const text = `The image with digest '${reference}' is referenced by manifest list '${parent.digest}'`
      fail(visit, 400, 'UNSUPPORTED', text)
      return
    }
    repository.manifests.delete(reference)
    for (const [tag, digest] of repository.tags) if (digest === reference) repository.tags.delete(tag)
  } else {
    repository.tags.delete(reference)
  }
  reply(visit, 202)
}

/** Whether something the manifest names is not there; answers when it is so. */
function missing(visit: RepositoryVisit, repository: Repository, facts: ManifestFacts): boolean {
  const where = `into repository with name '${visit.name}' in the registry with id '${visit.registry.account}' do not exist`
  const layers = facts.blobs.filter(digest => !repository.blobs.has(digest))
  const images = facts.children.filter(digest => !repository.manifests.has(digest))
  if (layers.length > 0) {
    const text = `Layers with digests '[${layers.join(', ')}]' required for pushing image ${where}`
    fail(visit, 404, 'MANIFEST_BLOB_UNKNOWN', text)
  } else if (images.length > 0) {
    const text = `Images with digests '[${images.join(', ')}]' required for pushing image ${where}`
    fail(visit, 404, 'MANIFEST_BLOB_UNKNOWN', text)
  }
  return layers.length + images.length > 0
}

function badManifest(visit: RepositoryVisit): void {
  if (visit.stand.profile === 'spec') {
    fail(visit, 400, 'MANIFEST_INVALID', 'manifest invalid')
    return
  }
  const text = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
  fail(visit, 405, 'UNSUPPORTED', text)
}
