import type { FastifyInstance } from 'fastify'

/** One thing that has to be right for the mirror to be of use. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  /** For people: what is wrong, or how long it will stay right. */
  readonly detail: string
  /** For how long it will stay right by itself, where that can be told. */
  readonly hours?: number
}

export interface HealthOptions {
  readonly isDraining: () => boolean
  readonly checks: () => Promise<readonly Check[]>
}

/**
 * `/livez`: the process answers; it never depends on AWS, since a restart mends nothing there. `/readyz`: it can do its
 * job now, with each check; 503 with the `reasons` when it cannot, or is about to end.
 */
export function health(app: FastifyInstance, { isDraining, checks }: HealthOptions): void {
  app.get('/livez', async () => ({ live: true }))
  app.get('/readyz', async (_request, reply) => {
    const draining = isDraining()
    const all = await checks()
    const reasons = [
      ...(draining ? ['draining'] : []),
      ...all.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`),
    ]
    const ready = reasons.length === 0
    return reply.code(ready ? 200 : 503).send({ ready, draining, reasons, checks: all })
  })
}
