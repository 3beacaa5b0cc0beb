import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { parseDigest } from '../oci/digest.js'
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

export interface ControlOptions {
  readonly purge: (target: PurgeTarget) => Promise<PurgeResult>
  /** Resolves when another process can see all that is cached and known. */
  readonly settled: () => Promise<void>
}

/** For whoever runs the mirror, by way of the socket in its cache directory only: what its commands ask of it. */
export function control(app: FastifyInstance, { purge, settled }: ControlOptions): void {
  app.post('/purge', async (request, reply) => {
    const target = Target.safeParse(request.body)
    if (!target.success) return reply.code(400).send({ error: 'no image and no digest' })
    return purge(target.data)
  })
  app.post('/settle', async (_request, reply) => {
    await settled()
    return reply.code(204).send()
  })
}
