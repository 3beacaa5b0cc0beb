import type { Registry, Repository } from './accounts.js'

/**
 * What happens to a repository without any client of the registry: in the console, by the API, or by a lifecycle
 * policy. None of it is announced to anybody.
 */

/** DeleteRepository with `force`, and CreateRepository: the same name, and nothing in it. */
export function recreate(registry: Registry, name: string): Repository {
  const immutable = registry.repositories.get(name)?.immutable
  registry.repositories.delete(name)
  return registry.createRepository(name, immutable)
}

/**
 * A lifecycle policy expires an image: its manifest goes, with every tag, and so do the layers that no other image has
 * (ECR user guide, "Automate the cleanup of images by using lifecycle policies"). An index keeps its images until it is
 * gone itself, which is refused here as it is there.
 */
export function expire(repository: Repository, reference: string): void {
  const image = repository.manifest(reference)
  if (!image) return
  const parent = [...repository.manifests.values()].find(each => each.facts.children.includes(image.digest))
  if (parent) throw new Error(`${image.digest} is part of ${parent.digest}, which keeps it.`)
  repository.manifests.delete(image.digest)
  repository.archived.delete(image.digest)
  for (const [tag, digest] of repository.tags) if (digest === image.digest) repository.tags.delete(tag)
  for (const digest of image.facts.blobs) if (!repository.references(digest)) repository.blobs.delete(digest)
}

/** Layers that belong to no image are not kept for ever (ECR has no word on when they go). */
export function collectLayers(repository: Repository): void {
  for (const digest of repository.blobs.keys())
    if (!repository.references(digest)) repository.blobs.delete(digest)
}

/** PutImage with another tag, by the API: the tag stands for another image of the repository. */
export function moveTag(repository: Repository, tag: string, reference: string): void {
  const image = repository.manifest(reference)
  if (!image) throw new Error(`There is no ${reference} for ${tag} to stand for.`)
  repository.tags.set(tag, image.digest)
}

/**
 * UpdateImageStorageClass: requests to pull an archived image are answered 404, and pushing it again restores it at once
 * (ECR user guide, "Archiving an image" and "Restoring an image"). BatchCheckLayerAvailability calls its layers
 * ARCHIVED (botocore); that a HEAD of one is 404 is inferred, and that one that is uploaded again is there at once.
 */
export function archive(repository: Repository, reference: string): void {
  const image = repository.manifest(reference)
  if (!image) return
  repository.archived.add(image.digest)
  for (const digest of image.facts.blobs) repository.restored.delete(digest)
}
