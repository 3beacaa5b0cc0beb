import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { algorithmOf, hexOf, parseDigest, type Digest } from '../oci/digest.js'

/** Where everything lies below a cache directory. Another layout gets another version, and leaves this one alone. */
export interface Layout {
  /** The cache directory itself. */
  readonly directory: string
  /** Holds all that follows. */
  readonly root: string
  /** `blobs/<algorithm>/<first two hex digits>/<hex>` */
  readonly blobs: string
  /** What is on its way in; emptied at a start. */
  readonly ingest: string
  /** What was received of blobs whose download was interrupted. */
  readonly partial: string
  /** What turned out bad. */
  readonly quarantine: string
  /** What is known of which repository contains what. */
  readonly membership: string
  /** What is known of which tag stands for what. */
  readonly tags: string
  /** How far the scrub is. */
  readonly scrub: string
  /** The owner's socket. */
  readonly lock: string
  blob(digest: Digest): string
  /** The file below `partial` with what was received of a blob. */
  suspended(digest: Digest): string
  /** A new name below `ingest`. */
  temporary(): string
  /** A new name below `quarantine`; sorts by `time`, in milliseconds. */
  aside(digest: Digest, time: number): string
}

export function layoutOf(directory: string): Layout {
  const root = join(directory, 'v1')
  const ingest = join(root, 'ingest')
  const partial = join(root, 'partial')
  const quarantine = join(root, 'quarantine')
  const blobs = join(root, 'blobs')
  return {
    directory,
    root,
    blobs,
    ingest,
    partial,
    quarantine,
    membership: join(root, 'membership.journal'),
    tags: join(root, 'tags.journal'),
    scrub: join(root, 'scrub.json'),
    lock: join(root, 'lock.sock'),
    blob: digest => join(blobs, algorithmOf(digest), hexOf(digest).slice(0, 2), hexOf(digest)),
    suspended: digest => join(partial, `${algorithmOf(digest)}-${hexOf(digest)}`),
    temporary: () => join(ingest, randomUUID()),
    aside: (digest, time) => join(quarantine, `${String(time).padStart(14, '0')}-${hexOf(digest)}`),
  }
}

/** The digest whose file is called `name` in `folder` of an algorithm's folder; undefined for anything else. */
export function digestAt(algorithm: string, folder: string, name: string): Digest | undefined {
  const digest = parseDigest(`${algorithm}:${name}`)
  return digest && name.startsWith(folder) && folder.length === 2 ? digest : undefined
}

/** The folders above a blob's file up to `blobs`, outermost first. */
export function foldersOf(layout: Layout, digest: Digest): [algorithm: string, folder: string] {
  const folder = dirname(layout.blob(digest))
  return [dirname(folder), folder]
}
