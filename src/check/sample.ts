import { z } from 'zod'
import { blobsOf, readManifest, type Descriptor } from '../oci/manifest.js'
import { MAX_MANIFEST_BYTES } from '../oci/media-type.js'
import {
  parseRepository,
  parseTag,
  referenceText,
  type Reference,
  type Repository,
} from '../oci/reference.js'
import { refusalOf } from '../upstream/dialect.js'
import type { EcrAction } from '../upstream/ecr-action.js'
import { outboundHeaders } from '../upstream/headers.js'
import { readBody } from '../upstream/read-body.js'
import type { Upstream } from '../upstream/upstream.js'

/** A blob to try a registry with. */
export interface Sample {
  /** As the registry calls it, with its prefix. */
  readonly repository: Repository
  readonly blob: Descriptor
}

/** Why there is nothing to try. */
export interface NoSample {
  readonly why: string
}

/** Where to look: what the registry lists, or an image of it. */
export interface Wanted {
  /** As the registry calls it, with its prefix. */
  readonly repository: Repository
  readonly reference: Reference
}

const MOST_REPOSITORIES = 10
/** An index leads to manifests, and that is as deep as images go. */
const MOST_LEVELS = 3

const ACCEPT = [
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
].join(', ')

const Catalog = z.object({ repositories: z.array(z.string()).nullish() })
const TagList = z.object({ tags: z.array(z.string()).nullish() })

/** The smallest blob of an image, which is looked for in the registry's own listings. Throws OciErrors. */
export async function findSample(upstream: Upstream, signal: AbortSignal): Promise<Sample | NoSample> {
  const catalog = await ask(upstream, '/v2/_catalog?n=100', 'DescribeRepositories', undefined, signal)
  if ('why' in catalog)
    return { why: `its catalog gives nothing (${catalog.why}); name an image with --image` }
  const { repositoryPrefix } = upstream
  const repositories = listed(Catalog, catalog.bytes, ({ repositories }) => repositories)
    .flatMap(text => parseRepository(text) ?? [])
    .filter(each => repositoryPrefix === '' || each.startsWith(`${repositoryPrefix}/`))
  for (const repository of repositories.slice(0, MOST_REPOSITORIES)) {
    const answer = await ask(upstream, `/v2/${repository}/tags/list?n=10`, 'ListImages', repository, signal)
    if ('why' in answer) continue
    const [tag] = listed(TagList, answer.bytes, ({ tags }) => tags).flatMap(text => parseTag(text) ?? [])
    if (tag === undefined) continue
    const sample = await sampleOf(upstream, { repository, reference: { tag } }, signal)
    if ('blob' in sample) return sample
  }
  return { why: 'it lists no image with a tag; name one with --image' }
}

/** The smallest blob of an image, of an index that of its first manifest. Throws OciErrors. */
export async function sampleOf(
  upstream: Upstream,
  { repository, reference }: Wanted,
  signal: AbortSignal,
): Promise<Sample | NoSample> {
  let asked = reference
  for (let level = 0; level < MOST_LEVELS; level++) {
    const path = `/v2/${repository}/manifests/${referenceText(asked)}`
    const answer = await ask(upstream, path, 'BatchGetImage', repository, signal)
    if ('why' in answer) return answer
    const content = readManifest(answer.bytes).content
    const [child] = content?.manifests ?? []
    if (!child) {
      const [blob] = blobsOf(content)
        .filter(({ elsewhere }) => !elsewhere)
        .sort((a, b) => sizeOf(a) - sizeOf(b))
      return blob ? { repository, blob } : { why: `${repository} has no blobs of its own there` }
    }
    asked = { digest: child.digest }
  }
  return { why: `${repository} is an index of indexes` }
}

function sizeOf({ size = Number.MAX_SAFE_INTEGER }: Descriptor): number {
  return size
}

/** The body of a 200, or what is said instead. */
async function ask(
  { send, name }: Upstream,
  path: string,
  action: EcrAction,
  repository: Repository | undefined,
  signal: AbortSignal,
): Promise<{ readonly bytes: Buffer } | NoSample> {
  const headers = {
    ...outboundHeaders({}, []),
    accept: action === 'BatchGetImage' ? ACCEPT : 'application/json',
  }
  const answer = await send({ action, method: 'GET', path, headers, signal, patience: 2000 })
  if (answer.statusCode !== 200)
    return { why: (await refusalOf(answer, { action, upstream: name, repository })).message }
  const bytes = await readBody(answer.body, MAX_MANIFEST_BYTES)
  return bytes ? { bytes } : { why: 'the answer is too long' }
}

function listed<T>(
  schema: z.ZodType<T>,
  bytes: Buffer,
  of: (list: T) => readonly string[] | null | undefined,
) {
  try {
    return of(schema.parse(JSON.parse(bytes.toString('utf8')))) ?? []
  } catch {
    return []
  }
}
