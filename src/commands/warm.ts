import type { Pool } from 'undici'
import type { Flags } from '../config/flags.js'
import { loadConfig } from '../config/load.js'
import { whyUnknown } from '../oci/ambiguity.js'
import { digestOf, type Digest } from '../oci/digest.js'
import { ociErrorIn } from '../upstream/dialect.js'
import { parseImageName, type ImageName } from '../oci/image-name.js'
import { blobsOf, platformText, readManifest, type Descriptor } from '../oci/manifest.js'
import { referenceText } from '../oci/reference.js'
import { walkManifests, type ReadManifest } from '../store/manifest-walk.js'
import { inUnits } from './in-units.js'
import { reachOwner, settle } from './owner.js'
import { isPlatform } from './platform.js'
import { createProgress, type Progress } from './progress.js'
import type { CreateApp } from './serve.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

export interface WarmFlags extends Flags {
  /** Such as linux/arm64; left out: all. */
  readonly platform?: string | undefined
}

/** All that the known clients ask for, so that the answer is the one that they would get. */
const ACCEPT = [
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
].join(', ')

/** Blobs that are fetched at a time; large ones come in several ranges by themselves. */
const SIDE_BY_SIDE = 3

/**
 * Fills the cache with images, by pulling them through the mirror that owns it. What is there already is not fetched
 * again. Throws a CommandError when something could not be had, after everything else was fetched.
 */
export async function warmImages(
  names: readonly string[],
  { platform, ...flags }: WarmFlags,
  surroundings: Surroundings,
  createApp: CreateApp,
): Promise<void> {
  const { env, stdout, stderr } = surroundings
  const { config } = await loadConfig({ env, flags, withoutUsers: true })
  const images = names.map(text => ({ text, image: imageNamed(text) }))
  const interrupted = new AbortController()
  surroundings.onInterrupt(() => interrupted.abort(stopped()))
  const { signal } = interrupted
  const owner = await reachOwner(config, createApp, surroundings)
  const failures: string[] = []
  try {
    for (const { text, image } of images) {
      stdout.write(`${text}\n`)
      const progress = createProgress(stdout)
      const outcome = await warm(
        { pool: owner.pool, name: image.name, progress, signal },
        image,
        platform,
      ).finally(() => progress.end())
      signal.throwIfAborted()
      for (const failure of outcome.failures) stderr.write(`ecr-mirror: ${text}: ${failure}\n`)
      if (outcome.failures.length > 0) failures.push(text)
      else
        stdout.write(
          `  in the cache: ${inUnits(outcome.bytes)}, ${inUnits(outcome.fetched)} of it fetched now${elsewhereText(outcome)}\n`,
        )
    }
    await settle(owner.pool)
  } finally {
    await owner.close()
  }
  if (failures.length > 0)
    throw new CommandError(`not all is in the cache of: ${failures.join(', ')}`, EXIT.failed)
}

function stopped(): CommandError {
  return new CommandError(
    'stopped; what was fetched is kept, and the same command goes on from there',
    EXIT.failed,
  )
}

function imageNamed(text: string): ImageName {
  const image = parseImageName(text)
  if (image) return image
  throw new CommandError(`${JSON.stringify(text)} is no image; expected one such as team/app:1.0`, EXIT.usage)
}

interface Outcome {
  readonly failures: string[]
  /** Layers that the registry does not have, since they are fetched from elsewhere, by agreement. */
  elsewhere: number
  /** Of all blobs, and of those that were not there before. */
  bytes: number
  fetched: number
}

/** What fetches of one repository go by. */
interface Work {
  readonly pool: Pool
  readonly name: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

function elsewhereText({ elsewhere }: Outcome): string {
  if (elsewhere === 0) return ''
  return `; without ${elsewhere} layers that are fetched from elsewhere, which the registry does not have`
}

async function warm(work: Work, { reference }: ImageName, platform: string | undefined): Promise<Outcome> {
  const outcome: Outcome = { failures: [], elsewhere: 0, bytes: 0, fetched: 0 }
  let blobs: readonly Descriptor[]
  try {
    blobs = await warmManifests(work, referenceText(reference), platform, outcome)
  } catch (error) {
    outcome.failures.push(reasonOf(error))
    return outcome
  }
  const waiting = blobs.values()
  const next = async (): Promise<void> => {
    for (const blob of waiting) {
      if (work.signal.aborted) return
      try {
        await warmBlob(work, blob, outcome)
      } catch (error) {
        outcome.failures.push(`${blob.digest}: ${reasonOf(error)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, next))
  return outcome
}

interface Fetched extends ReadManifest {
  readonly mediaType: string
}

/**
 * Fetches an image's manifests: of an index those of one platform, or all that there are. What of them cannot be had, and
 * of what it cannot be told what belongs to it, is a failure. Gives the blobs that they name. Throws where there is nothing.
 */
async function warmManifests(
  work: Work,
  reference: string,
  platform: string | undefined,
  { failures }: Outcome,
): Promise<Descriptor[]> {
  const top = await manifest(work, reference)
  const known = new Set<string>()
  const blobs = new Map<Digest, Descriptor>()
  let images = 0
  const steps = walkManifests<Fetched>(top.digest, {
    signal: work.signal,
    read: async digest => {
      if (digest === top.digest) return top
      try {
        return await manifest(work, digest)
      } catch (error) {
        work.signal.throwIfAborted()
        failures.push(`${digest}: ${reasonOf(error)}`)
        return undefined
      }
    },
    follows(child) {
      if (child.platform) known.add(platformText(child.platform))
      if (platform === undefined) return true
      if (!child.platform) return /index|manifest\.list/.test(child.mediaType ?? '')
      return isPlatform(platformText(child.platform), platform)
    },
  })
  for await (const { digest, manifest, limit } of steps) {
    if (limit !== undefined)
      failures.push(`${digest}: more indexes, manifests or layers belong to it than are looked at`)
    if (!manifest) {
      images++
      continue
    }
    const { reading, mediaType } = manifest
    if (reading.kind !== 'index') images++
    const why = whyUnknown(reading, mediaType)
    if (why !== undefined)
      failures.push(`${digest}: it cannot be told what belongs to it: the manifest ${why}`)
    for (const blob of blobsOf(reading.content))
      if (blobs.get(blob.digest)?.elsewhere !== false) blobs.set(blob.digest, blob)
  }
  if (images === 0 && known.size > 0)
    throw new Error(`there is no ${platform ?? ''} in it; there is ${[...known].join(', ')}`)
  return [...blobs.values()]
}

async function manifest(
  { pool, name, signal }: Work,
  reference: string,
): Promise<Fetched & { readonly digest: Digest }> {
  const answer = await pool.request({
    path: `/v2/${name}/manifests/${reference}`,
    method: 'GET',
    headers: { accept: ACCEPT },
    signal,
  })
  const bytes = Buffer.from(await answer.body.arrayBuffer())
  if (answer.statusCode !== 200) throw new Error(messageIn(bytes, answer.statusCode))
  return {
    digest: digestOf(bytes),
    reading: readManifest(bytes),
    size: bytes.length,
    mediaType: String(answer.headers['content-type'] ?? ''),
  }
}

async function warmBlob(
  { pool, name, progress, signal }: Work,
  { digest, elsewhere }: Descriptor,
  outcome: Outcome,
): Promise<void> {
  const path = `/v2/${name}/blobs/${digest}`
  const head = await pool.request({ path, method: 'HEAD', signal })
  await head.body.dump()
  const size = Number(head.headers['content-length'] ?? 0)
  const label = `${digest.slice(0, 'sha256:'.length + 12)}…`
  if (head.statusCode === 200 && ['hit', 'stale'].includes(String(head.headers['x-cache']))) {
    outcome.bytes += size
    progress.begin(label, size).over('there already')
    return
  }
  if (head.statusCode === 404 && elsewhere) {
    outcome.elsewhere++
    progress.begin(label, 0).over('not at the registry')
    return
  }
  const answer = await pool.request({ path, method: 'GET', signal })
  if (answer.statusCode !== 200) {
    const bytes = Buffer.from(await answer.body.arrayBuffer())
    throw new Error(messageIn(bytes, answer.statusCode))
  }
  const transfer = progress.begin(label, Number(answer.headers['content-length'] ?? 0))
  let received = 0
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    received += chunk.length
    transfer.advance(chunk.length)
  }
  outcome.bytes += received
  const how = String(answer.headers['x-cache'])
  if (how === 'bypass') {
    transfer.over('not kept')
    throw new Error('the cache does not take it; /readyz and the log say why')
  }
  if (how !== 'hit') outcome.fetched += received
  transfer.over(how === 'hit' ? 'there already' : 'fetched')
}

/** What a registry's error says. */
function messageIn(bytes: Buffer, status: number): string {
  return ociErrorIn(bytes.toString('utf8'))?.message ?? `status ${status}`
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
