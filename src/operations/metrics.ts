import { Registry } from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'

/** Where the numbers of one mirror are kept: two of them in one process do not share any. */
export type Metrics = Registry

export function createMetrics(): Metrics {
  return new Registry()
}

/** `/metrics`: the numbers, in the text format of Prometheus. */
export function metricsEndpoint(app: FastifyInstance, metrics: Metrics): void {
  app.get('/metrics', async (_request, reply) =>
    reply.header('content-type', metrics.contentType).send(await metrics.metrics()),
  )
}
