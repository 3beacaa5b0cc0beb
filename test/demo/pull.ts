import { createHash } from 'node:crypto'
import type { Progress } from './progress.js'

export interface PullOptions {
  readonly url: string
  readonly repository: string
  readonly tag: string
  readonly user: { readonly name: string; readonly password: string }
  readonly signal: AbortSignal
  readonly progress: Progress
}

export interface Pulled {
  /** Of the manifest. */
  readonly digest: string
  readonly blobs: number
  /** The Authorization header that every request carried. */
  readonly authorization: string
}

interface Descriptor {
  readonly digest: string
  readonly size: number
}

interface Manifest {
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

const ACCEPT = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

/**
 * Pulls an image as a registry client does (distribution-spec, "Pull"): the tag's manifest, then the config and all
 * layers at once. Nothing is stored. Throws when an answer or a digest is not as it should be.
 */
export async function pull(options: PullOptions): Promise<Pulled> {
  const { repository, tag, user, progress } = options
  const authorization = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
  await assertLoginIsAsked(options)

  const base = `/v2/${repository}`
  const answer = await get(`${base}/manifests/${tag}`, authorization, options)
  const bytes = Buffer.from(await answer.arrayBuffer())
  const digest = answer.headers.get('docker-content-digest') ?? ''
  assertDigest(digest, createHash('sha256').update(bytes).digest('hex'))

  const { config, layers } = JSON.parse(bytes.toString('utf8')) as Manifest
  const blobs = [config, ...layers]
  await Promise.all(
    blobs.map(async (blob, index) => {
      const what = index === 0 ? 'config ' : `layer ${index}`
      const transfer = progress.begin(`${what}  ${blob.digest.slice(0, 'sha256:'.length + 12)}`, blob.size)
      const { body } = await get(`${base}/blobs/${blob.digest}`, authorization, options)
      const hash = createHash('sha256')
      for await (const chunk of body ?? []) {
        hash.update(chunk)
        transfer.advance(chunk.length)
      }
      assertDigest(blob.digest, hash.digest('hex'))
      transfer.complete()
    }),
  )
  return { digest, blobs: blobs.length, authorization }
}

async function assertLoginIsAsked({ url, signal }: PullOptions): Promise<void> {
  const { status, headers, body } = await fetch(`${url}/v2/`, { signal })
  await body?.cancel()
  if (status === 401 && headers.get('www-authenticate')?.startsWith('Basic ')) return
  throw new Error(`Without a password the mirror answered ${status}, not 401.`)
}

/** What is not the thing itself, a redirect included, is an error: a client of the mirror has no other place to go to. */
async function get(path: string, authorization: string, { url, signal }: PullOptions): Promise<Response> {
  const answer = await fetch(url + path, {
    headers: { authorization, accept: ACCEPT },
    redirect: 'manual',
    signal,
  })
  if (answer.status === 200) return answer
  throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`)
}

function assertDigest(expected: string, hex: string): void {
  if (expected !== `sha256:${hex}`) throw new Error(`What should be ${expected} is sha256:${hex}.`)
}
