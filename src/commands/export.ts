import { once } from 'node:events'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { BundleRefused } from '../bundle/bundle-refused.js'
import { partsOf, type MissingPart } from '../bundle/image-parts.js'
import type { Named } from '../bundle/layout.js'
import { writeBundle, type BundleContents } from '../bundle/write-bundle.js'
import type { Flags } from '../config/flags.js'
import { loadConfig } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { namedScope } from '../named-scope.js'
import { parseDigest, type Digest } from '../oci/digest.js'
import { parseImageName } from '../oci/image-name.js'
import { platformText, type Descriptor } from '../oci/manifest.js'
import type { Reference } from '../oci/reference.js'
import type { ManifestFacts } from '../store/membership.js'
import type { Scope } from '../store/scope.js'
import { createUpstreamTable } from '../upstream/upstream-table.js'
import { lookAtCache, type CacheView } from './cache-view.js'
import { inUnits } from './in-units.js'
import { isPlatform } from './platform.js'
import { createProgress } from './progress.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

export interface ExportFlags extends Flags {
  /** A file, or `-` for standard output. */
  readonly output: string
  /** Such as linux/arm64; left out: all that an index has. */
  readonly platform?: string | undefined
  /** Leaves out layers that may be fetched from elsewhere, by agreement, where they are not in the cache. */
  readonly withoutForeignLayers?: boolean | undefined
}

/**
 * Writes images that are complete in the cache to an OCI layout in a tar archive. Only looks at the cache, beside whoever
 * owns it. Throws a CommandError, and then leaves no file behind.
 */
export async function exportImages(
  names: readonly string[],
  { output, platform, withoutForeignLayers = false, ...flags }: ExportFlags,
  surroundings: Surroundings,
): Promise<void> {
  const { env, stdout, stderr } = surroundings
  if (output === '-' && stdout.isTTY)
    throw new CommandError('a bundle is nothing for a terminal; give a file with -o', EXIT.usage)
  const { config } = await loadConfig({ env, flags, withoutUsers: true })
  const wanted = [
    ...new Map(names.map(name => imageNamed(name, config)).map(each => [each.name, each])).values(),
  ]
  const interrupted = new AbortController()
  surroundings.onInterrupt(() =>
    interrupted.abort(new CommandError('stopped; no bundle was written', EXIT.failed)),
  )
  const view = await lookAtCache(config)
  const choice = { platform, withoutForeignLayers }
  const contents = await contentsOf(wanted, view, { choice, stderr, signal: interrupted.signal })
  const size = [...contents.blobs.values()].reduce((sum, each) => sum + each, 0)
  // What is said goes where the bundle does not.
  const told = output === '-' ? stderr : stdout
  const progress = createProgress(told)
  const transfer = progress.begin(output === '-' ? 'the bundle' : output, size)
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const piece of writeBundle(contents, digest => stored(view, digest))) {
      interrupted.signal.throwIfAborted()
      yield piece
      transfer.advance(piece.length)
    }
  }
  try {
    await (output === '-' ? toStream(stdout, bytes()) : toFile(output, bytes()))
    transfer.over('written')
  } catch (error) {
    throw error instanceof BundleRefused ? new CommandError(error.message, EXIT.failed) : error
  } finally {
    progress.end()
  }
  for (const { name, digest, leftOut } of contents.images)
    told.write(`${name}  ${digest}${leftOut.length > 0 ? `  without ${leftOut.join(', ')}` : ''}\n`)
}

interface WantedImage {
  /** As it is called in the bundle. */
  readonly name: string
  readonly scope: Scope
  readonly reference: Reference
}

function imageNamed(text: string, { upstreams }: Config): WantedImage {
  const image = parseImageName(text)
  if (!image)
    throw new CommandError(
      `${JSON.stringify(text)} is no image; expected one such as team/app:1.0`,
      EXIT.usage,
    )
  const table = createUpstreamTable(upstreams.map(settings => ({ name: settings.name, settings })))
  const named = namedScope(table, image.name)
  if (!named) throw new CommandError(`${text}: none of the configured registries is meant`, EXIT.usage)
  const { reference } = image
  const name = `${named.fullName}${'tag' in reference ? `:${reference.tag}` : `@${reference.digest}`}`
  return { name, scope: named.scope, reference }
}

type Choice = Required<Pick<ExportFlags, 'withoutForeignLayers'>> & Pick<ExportFlags, 'platform'>

interface Looking {
  readonly choice: Choice
  readonly stderr: NodeJS.WritableStream
  readonly signal: AbortSignal
}

/** An image in the bundle, and what belongs to it and is not there. */
type Exported = Named & { readonly leftOut: readonly string[] }

/** Everything of all images, each once. Says all that is missing before it throws a CommandError. */
async function contentsOf(
  wanted: readonly WantedImage[],
  view: CacheView,
  { choice, stderr, signal }: Looking,
): Promise<BundleContents & { readonly images: readonly Exported[] }> {
  const images: Exported[] = []
  const blobs = new Map<Digest, number>()
  let incomplete = 0
  for (const each of wanted) {
    const found = await lookFor(each, view, choice, signal)
    if (typeof found === 'string') {
      incomplete++
      stderr.write(`ecr-mirror: ${each.name}: ${found}\n`)
      continue
    }
    images.push({ ...found.top, name: each.name, leftOut: found.leftOut })
    for (const [digest, size] of found.contents) blobs.set(digest, size)
  }
  if (incomplete === 0) return { images, blobs }
  throw new CommandError(
    `no bundle was written: ${incomplete} of ${wanted.length} images are not complete in the cache`,
    EXIT.failed,
  )
}

interface FoundImage {
  readonly top: ManifestFacts
  readonly leftOut: readonly string[]
  readonly contents: readonly (readonly [Digest, number])[]
}

/** What there is of an image, or why it cannot be exported. */
async function lookFor(
  { name, scope, reference }: WantedImage,
  view: CacheView,
  { platform, withoutForeignLayers }: Choice,
  signal: AbortSignal,
): Promise<FoundImage | string> {
  const warm = `fetch it with: ecr-mirror warm ${platform === undefined ? '' : `--platform ${platform} `}${name}`
  const { tags, membership } = view
  const known =
    'tag' in reference
      ? tags.lastKnown({ scope, tag: reference.tag }, undefined)
      : membership.manifest(scope, reference.digest)
  if (!known || known.proof === 'none') return `it is not in the cache; ${warm}`
  const there = new Set<string>()
  const takes = (child: Descriptor): boolean => {
    if (child.platform) there.add(platformText(child.platform))
    if (platform === undefined) return true
    if (!child.platform) return /index|manifest\.list/.test(child.mediaType ?? '')
    return isPlatform(platformText(child.platform), platform)
  }
  const isProven = (digest: Digest): boolean => membership.proof(scope, digest) !== 'none'
  const parts = await partsOf(known, {
    read: view.read,
    sizeOf: async digest => (isProven(digest) ? view.sizeOf(digest) : undefined),
    takes,
    readings: view.readings,
    signal,
  }).catch((error: unknown) => {
    if (error instanceof BundleRefused) return error.message
    throw error
  })
  if (typeof parts === 'string') return parts
  if (platform !== undefined && there.size > 0 && ![...there].some(each => isPlatform(each, platform)))
    return `there is no ${platform} in it; there is ${[...there].join(', ')}`
  const unproven = parts.manifests.find(
    ({ digest }) => (membership.manifest(scope, digest)?.proof ?? 'none') === 'none',
  )
  if (unproven) return `ECR has not said for too long that it has ${unproven.digest}; ${warm}`
  if (parts.missing.length > 0) return `it lacks ${missingText(parts.missing)}; ${warm}`
  if (parts.unknown !== undefined) return `it cannot be told what belongs to it: ${parts.unknown}`
  const { elsewhere } = parts
  if (elsewhere.length > 0 && !withoutForeignLayers)
    return `it has layers that may be fetched from elsewhere and are not in the cache, ${namedText(elsewhere)}; ${warm}, or leave out those that ECR does not have with: --without-foreign-layers`
  const { digest, mediaType, size } = known
  return {
    top: { digest, mediaType, size },
    leftOut: [...elsewhere, ...parts.leftOut.filter(each => parseDigest(each) !== undefined)],
    contents: [...parts.manifests.map(each => [each.digest, each.size] as const), ...parts.blobs],
  }
}

/** The most that are named of what is missing. */
const NAMED = 3

function missingText(missing: readonly MissingPart[]): string {
  return namedText(
    missing.map(({ digest, size }) => (size === undefined ? digest : `${digest} (${inUnits(size)})`)),
  )
}

function namedText(all: readonly string[]): string {
  const more = all.length - NAMED
  return `${all.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/** A blob's bytes; throws when it is gone. */
async function* stored({ directory }: CacheView, digest: Digest): AsyncGenerator<Uint8Array> {
  if ((await directory.sizeOf(digest)) === undefined)
    throw new BundleRefused(
      `${digest} was dropped from the cache meanwhile; warm the images once more, and see that cache.maxSize has room for all of them`,
    )
  yield* directory.stream(digest)
}

/** Under its name there is the whole file or what was there before. */
async function toFile(file: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const partial = `${file}.partial`
  const handle = await open(partial, 'w', 0o644).catch((error: unknown) => {
    throw unwritable(file, error)
  })
  try {
    try {
      for await (const piece of bytes)
        await handle.writeFile(piece).catch((error: unknown) => {
          throw unwritable(file, error)
        })
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
  const directory = await open(dirname(file), 'r')
  await directory.sync().finally(() => directory.close())
}

function unwritable(file: string, error: unknown): CommandError {
  const { code } = error instanceof Error && 'code' in error ? error : { code: 'unknown reason' }
  return new CommandError(`${file} cannot be written (${String(code)})`, EXIT.failed)
}

async function toStream(stream: NodeJS.WritableStream, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const failed = new AbortController()
  stream.once('error', (error: Error) =>
    failed.abort(new CommandError(`standard output cannot be written to: ${error.message}`, EXIT.failed)),
  )
  for await (const piece of bytes) {
    failed.signal.throwIfAborted()
    // Where it goes may keep it for a while, and pieces are used again.
    if (!stream.write(Buffer.from(piece))) await once(stream, 'drain', { signal: failed.signal })
  }
  failed.signal.throwIfAborted()
}
