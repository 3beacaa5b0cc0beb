import type { FastifyInstance } from 'fastify'
import type { Budgets } from './budgets.js'
import { readCertificates, type Certificates } from './certificates.js'
import type { Config } from './config/schema.js'
import { ConnectionRoom } from './connection-room.js'
import { listen, type Listener } from './listener.js'
import type { Log } from './operations/log.js'
import { answerParserError } from './registry/errors.js'

/** What clients, and whoever watches the mirror, connect to. */
export interface OpenPorts {
  readonly data: readonly Listener[]
  readonly operations: Listener | undefined
}

export interface OpenPortsDeps {
  readonly api: FastifyInstance
  readonly operations: FastifyInstance
  readonly budgets: Budgets
  /** Undefined for plain HTTP. */
  readonly certificates: Certificates | undefined
  readonly log: Log
}

/** Opens all ports, or none. Throws what kept one from being opened. */
export async function openPorts(
  config: Config,
  { api, operations, budgets, certificates, log }: OpenPortsDeps,
): Promise<OpenPorts> {
  const common = {
    limits: config.limits,
    onParserError: answerParserError,
    onError: (error: Error) => log.error({ err: error }, 'connections cannot be accepted'),
  }
  const opened: Listener[] = []
  try {
    for (const address of config.listen) {
      opened.push(
        await listen({
          ...common,
          address,
          certificates,
          room: budgets.connections,
          onSlow: reason => void (reason === 'idle' ? budgets.idleTime : budgets.headersTime).refuse(),
          onRequest: (request, response) => api.routing(request, response),
        }),
      )
    }
    const operationsListener = await listen({
      ...common,
      address: config.operations.listen,
      certificates: undefined,
      // Who watches the mirror comes in also when clients have taken all other room.
      room: new ConnectionRoom({ ...config.limits, isShared: () => false }),
      onRequest: (request, response) => operations.routing(request, response),
    })
    return { data: opened, operations: operationsListener }
  } catch (error) {
    await ended(opened, AbortSignal.abort())
    throw error
  }
}

/** Lets what came in by some ways end, and cuts what has not when `signal` aborts. */
export async function ended(
  ways: readonly Pick<Listener, 'drain' | 'cut'>[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const cut = (): void => ways.forEach(way => way.cut())
  signal?.addEventListener('abort', cut, { once: true })
  const drained = Promise.all(ways.map(way => way.drain()))
  if (signal?.aborted) cut()
  await drained
  signal?.removeEventListener('abort', cut)
}

/** Reads the configured certificates; undefined where there are none. */
export async function certificatesOf({ tls: [first, ...others] }: Config): Promise<Certificates | undefined> {
  return first && (await readCertificates([first, ...others]))
}
