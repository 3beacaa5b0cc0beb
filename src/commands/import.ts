import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Renaming } from '../bundle/restored-name.js'
import { FOREVER } from '../config/fields.js'
import type { Flags } from '../config/flags.js'
import { loadConfig } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { BUNDLE_TYPE, ImportAnswer, importPath, ImportRefusal } from '../operations/control.js'
import { inUnits } from './in-units.js'
import { cacheOf, reachOwner, type Owner } from './owner.js'
import { createProgress } from './progress.js'
import type { CreateApp } from './serve.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

export interface ImportFlags extends Flags {
  /** `NAME` for the only image of the bundle, or `OLD=NAME`. */
  readonly name?: readonly string[]
  /** What is to stand in place of the upstream's name in the bundle. */
  readonly asUpstream?: string
}

/**
 * Takes the images of a bundle into the cache, by way of the mirror that owns it. Throws a CommandError when the bundle is
 * not right, and then no image of it can be pulled, or when images of it are not whole, after the others were taken.
 */
export async function importImages(
  file: string,
  { name = [], asUpstream, ...flags }: ImportFlags,
  surroundings: Surroundings,
  createApp: CreateApp,
): Promise<void> {
  const { env, stdin, stdout, stderr } = surroundings
  const { config } = await loadConfig({ env, flags, withoutUsers: true })
  if (file === '-' && stdin.isTTY) throw new CommandError('there is no bundle on standard input', EXIT.usage)
  if (asUpstream !== undefined && !config.upstreams.some(upstream => upstream.name === asUpstream))
    throw new CommandError(
      `--as-upstream: there is no upstream ${JSON.stringify(asUpstream)}, only ${config.upstreams.map(each => each.name).join(', ')}`,
      EXIT.usage,
    )
  const renaming = { names: new Map(name.map(renamed)), upstream: asUpstream }
  const size = file === '-' ? undefined : await sizeOf(file)
  const interrupted = new AbortController()
  surroundings.onInterrupt(() => interrupted.abort(stopped()))
  const owner = await reachOwner(config, createApp, surroundings)
  const progress = createProgress(stdout)
  const transfer = size === undefined ? undefined : progress.begin(file, size)
  const source = file === '-' ? stdin : createReadStream(file, { highWaterMark: 1024 * 1024 })
  source.on('data', (chunk: Buffer) => transfer?.advance(chunk.length)).pause()
  let answer: ImportAnswer
  try {
    answer = await send(owner, source, renaming, interrupted.signal)
    transfer?.over('read')
  } finally {
    progress.end()
    source.destroy()
    await owner.close()
  }
  tell(answer, config, stdout)
  for (const { name, reason } of answer.refused) stderr.write(`ecr-mirror: ${name}: ${reason}\n`)
  if (answer.refused.length > 0)
    throw new CommandError(
      `${answer.refused.length} of ${answer.refused.length + answer.images.length} images were not imported`,
      EXIT.failed,
    )
}

function stopped(): CommandError {
  return new CommandError(
    'stopped; nothing was imported, and the same command takes what was stored as it is',
    EXIT.failed,
  )
}

function renamed(text: string): [old: string, name: string] {
  const equals = text.lastIndexOf('=')
  return [text.slice(0, Math.max(0, equals)), text.slice(equals + 1)]
}

/** In bytes. */
async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((error: unknown) => {
    const { code } = error instanceof Error && 'code' in error ? error : { code: 'unknown reason' }
    throw new CommandError(`${file} cannot be read (${String(code)})`, EXIT.failed)
  })
  if (found.isDirectory())
    throw new CommandError(
      `${file} is a directory; pack it: tar -C ${file} -cf - . | ecr-mirror import -`,
      EXIT.usage,
    )
  return found.size
}

async function send(
  { pool }: Owner,
  body: Readable,
  renaming: Renaming,
  signal: AbortSignal,
): Promise<ImportAnswer> {
  const answer = await pool
    .request({
      path: importPath(renaming),
      method: 'POST',
      headers: { 'content-type': BUNDLE_TYPE },
      body,
      signal,
      // The last files are stored, and all is looked at once more, before the answer comes.
      headersTimeout: 0,
    })
    .catch((error: unknown) => {
      signal.throwIfAborted()
      throw new CommandError(
        `the bundle did not reach the mirror: ${error instanceof Error ? error.message : String(error)}`,
        EXIT.failed,
      )
    })
  const said: unknown = await answer.body.json()
  if (answer.statusCode === 200) return ImportAnswer.parse(said)
  const { error } = ImportRefusal.parse(said)
  throw new CommandError(`nothing was imported: ${error}`, EXIT.failed)
}

type ImportAnswer = ReturnType<typeof ImportAnswer.parse>

function tell(
  { images, stored, present }: ImportAnswer,
  config: Config,
  stdout: NodeJS.WritableStream,
): void {
  for (const { name, digest, bytes, leftOut } of images) {
    const without = leftOut.length > 0 ? `  without ${leftOut.join(', ')}` : ''
    stdout.write(`${name}  ${digest}  ${inUnits(bytes)}${without}\n`)
  }
  stdout.write(
    `  in the cache: ${stored.files} files stored now (${inUnits(stored.bytes)}), ${present.files} there already (${inUnits(present.bytes)})\n`,
  )
  const { tags, membership } = cacheOf(config)
  const mortal = [
    ...(tags.staleFor < FOREVER ? ['cache.tags.staleFor'] : []),
    ...(membership.staleFor < FOREVER ? ['cache.membership.staleFor'] : []),
  ]
  if (images.length > 0 && mortal.length > 0)
    stdout.write(
      `  without ECR they are served for as long as ${mortal.join(' and ')} say; where ECR is never reached, set them to forever\n`,
    )
}
