import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { BundleRefused } from '../bundle/bundle-refused.js'
import { troubleText, type ImportResult } from '../bundle/import-bundle.js'
import type { Renaming } from '../bundle/restored-name.js'
import { parseDigest } from '../oci/digest.js'
import { onceOver } from '../registry/once-over.js'
import { CacheTrouble } from '../store/blob-store.js'
import type { PurgeResult, PurgeTarget } from '../store/purge.js'

const digest = z.string().transform((text, context) => {
  const parsed = parseDigest(text)
  if (parsed) return parsed
  context.addIssue({ code: 'custom', message: 'a digest' })
  return z.NEVER
})
const scope = z.strictObject({ registry: z.string(), repository: z.string() })

const Target: z.ZodType<PurgeTarget> = z.union([
  z.strictObject({ scope, tag: z.string() }),
  z.strictObject({ scope, digest }),
  z.strictObject({ digest }),
])

/** What `POST /purge` answers. */
export const PurgeAnswer: z.ZodType<PurgeResult> = z.strictObject({
  found: z.boolean(),
  files: z.number(),
  bytes: z.number(),
})

const files = z.strictObject({ files: z.number(), bytes: z.number() })

/** What `POST /import` answers with 200. */
export const ImportAnswer: z.ZodType<ImportResult> = z.strictObject({
  images: z.array(
    z.strictObject({ name: z.string(), digest, bytes: z.number(), leftOut: z.array(z.string()) }),
  ),
  refused: z.array(z.strictObject({ name: z.string(), reason: z.string() })),
  stored: files,
  present: files,
})

/** What it answers with any other status. */
export const ImportRefusal = z.looseObject({ error: z.string() })

const ImportQuery = z.strictObject({
  /** JSON: pairs of a name in the bundle and one here. */
  names: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(z.array(z.tuple([z.string(), z.string()]))),
  upstream: z.string().optional(),
})

/** The path to post a bundle to. */
export function importPath({ names, upstream }: Renaming): string {
  const query = new URLSearchParams({ names: JSON.stringify([...names]) })
  if (upstream !== undefined) query.set('upstream', upstream)
  return `/import?${query.toString()}`
}

/** A tar archive, gzipped or not. */
export const BUNDLE_TYPE = 'application/x-tar'

export interface ControlOptions {
  readonly import: (
    bundle: AsyncIterable<Uint8Array>,
    renaming: Renaming,
    signal: AbortSignal,
  ) => Promise<ImportResult>
  readonly purge: (target: PurgeTarget, signal: AbortSignal) => Promise<PurgeResult>
  /** Resolves when another process can see all that is cached and known. */
  readonly settled: () => Promise<void>
}

/** For whoever runs the mirror, by way of the socket in its cache directory only: what its commands ask of it. */
export function control(app: FastifyInstance, options: ControlOptions): void {
  const { purge, settled } = options
  app.post('/purge', async (request, reply) => {
    const target = Target.safeParse(request.body)
    if (!target.success) return reply.code(400).send({ error: 'no image and no digest' })
    return purge(target.data, gone(request, reply))
  })
  app.post('/settle', async (_request, reply) => {
    await settled()
    return reply.code(204).send()
  })
  app.addContentTypeParser(BUNDLE_TYPE, (_request, _body, done) => done(null, undefined))
  app.post('/import', async (request, reply) => {
    const query = ImportQuery.safeParse(request.query)
    if (!query.success) return reply.code(400).send({ error: 'no names' })
    const { names, upstream } = query.data
    // What is left unread of it goes by, since an answer reaches nobody whose words are cut off.
    const bundle = request.raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
    try {
      return await options.import(bundle, { names: new Map(names), upstream }, gone(request, reply))
    } catch (error) {
      if (error instanceof BundleRefused) return reply.code(422).send({ error: error.message })
      if (error instanceof CacheTrouble) return reply.code(507).send({ error: troubleText(error) })
      throw error
    }
  })
}

/** Aborts when whoever asks has left before the answer. */
function gone(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  onceOver(request.raw, reply.raw, () => {
    if (!reply.raw.writableFinished) controller.abort(new Error('The command has ended.'))
  })
  return controller.signal
}
