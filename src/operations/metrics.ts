import { Registry } from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'

/** Where the numbers of one mirror are kept: two of them in one process do not share any. */
export type Metrics = Registry

export function createMetrics(): Metrics {
  return new Registry()
}

/** `/metrics`: the numbers, and others that go with them, in the text format of Prometheus. */
export function metricsEndpoint(
  app: FastifyInstance,
  metrics: Metrics,
  others: () => readonly Metrics[] = () => [],
): void {
  app.get('/metrics', async (_request, reply) => {
    const texts = await Promise.all([metrics, ...others()].map(each => each.metrics()))
    return reply.header('content-type', metrics.contentType).send(texts.join('\n'))
  })
}
