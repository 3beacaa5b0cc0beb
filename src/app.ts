import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import Fastify, { LogController, type FastifyInstance } from 'fastify'
import { Logins } from './access/logins.js'
import { createBudgets } from './budgets.js'
import { checksOf } from './checks.js'
import { closedOnFailure, type Closing } from './closing.js'
import { ConfigError } from './config/config-error.js'
import type { Config } from './config/schema.js'
import { importedScope } from './named-scope.js'
import { isOfNote, openCache, type CacheEvent } from './open-cache.js'
import { certificatesOf, ended, openPorts, type OpenPorts } from './open-ports.js'
import { accessLog } from './operations/access-log.js'
import { AuditFileRefused, createAuditLog, type AuditLog } from './operations/audit-log.js'
import { auditTrail } from './operations/audit-trail.js'
import { control } from './operations/control.js'
import { health } from './operations/health.js'
import type { Log } from './operations/log.js'
import { createMetrics, metricsEndpoint } from './operations/metrics.js'
import { cacheEventMetrics } from './operations/metrics/cache.js'
import { processMetrics } from './operations/metrics/process.js'
import { tokenMetrics } from './operations/metrics/registries.js'
import { reloadMetrics } from './operations/metrics/reloads.js'
import { requestMetrics } from './operations/metrics/requests.js'
import { upstreamMetrics } from './operations/metrics/upstreams.js'
import { createTraces } from './operations/traces.js'
import { createOperatorDoor } from './operator-door.js'
import { routeOf } from './registry/parsed-request.js'
import { TIME_LIMITS, type TimeLimits } from './registry/patience.js'
import { registry } from './registry/registry.js'
import { createUploadSessions } from './registry/upload-session.js'
import { createRulesInForce } from './rules-in-force.js'
import { closeAll, makeRules, type MadeRules } from './rules.js'
import { stateMetrics } from './state-metrics.js'
import { statusPage } from './status/status-page.js'
import { createObservations, createStatus, noteCacheTrouble } from './status/status.js'
import { createThrottles } from './upstream/throttle.js'
import { createTokenSources } from './upstream/token-sources.js'
import type { UpstreamDeps } from './upstream/upstream.js'
import { VERSION } from './version.js'

/** A mirror that listens. */
export interface App {
  /** Where clients connect. */
  readonly urls: readonly string[]
  /** Empty without ports. */
  readonly operationsUrl: string
  /** Puts another configuration in force for the requests to come. Throws, and changes nothing, when it cannot be. */
  reload(config: Config): Promise<void>
  /** Is told of each reload whether it came to be in force; also of one that never got as far as `reload`. */
  reloaded(succeeded: boolean): void
  /** Goes on serving, but says that it is about to end: in `/readyz`, and to each client with its next answer. */
  retire(): void
  /** Takes no more connections, lets requests in flight end until `signal` aborts, and frees everything. */
  close(signal?: AbortSignal): Promise<void>
}

export interface AppDeps {
  readonly log: Log
  /** What tests set otherwise about upstreams. */
  readonly upstreams?: Partial<UpstreamDeps>
  /** The time in milliseconds since 1970, by which the cache goes. */
  readonly now?: () => number
  /** What is known of logins before the first. */
  readonly logins?: Logins
  /** Whether no ports are opened, so that only whoever runs the mirror comes in, by way of its cache directory. */
  readonly portless?: boolean
  /** How long clients are kept waiting for an upstream; what is left out is as users have it. */
  readonly timeLimits?: Partial<TimeLimits>
  /** The version of Node.js that it runs on, for who asks. */
  readonly node?: string
}

/** Makes every part and opens the ports. When it throws, nothing stays open. */
export function createApp(config: Config, deps: AppDeps): Promise<App> {
  return closedOnFailure(closing => openApp(config, deps, closing))
}

/** By hand, in reading order. */
async function openApp(
  config: Config,
  { log, upstreams, now, logins = new Logins(), portless = false, timeLimits, node = 'unknown' }: AppDeps,
  closing: Closing,
): Promise<App> {
  const certificates = portless ? undefined : await certificatesOf(config)
  const audit = createAuditLog({ log })
  closing.add(() => audit.close())
  await openAudit(audit, config)
  const metrics = createMetrics()
  const observers = upstreamMetrics(metrics)
  const isProxy = (address: string): boolean => rules.current.rules.trustedProxies.has(address)
  const traces = config.tracing.enabled ? createTraces(isProxy, VERSION) : undefined
  const deps = {
    tokens: createTokenSources(undefined, tokenMetrics(metrics)),
    throttles: createThrottles(),
    observe: (upstream: string) => {
      const observer = observers.observer(upstream)
      return traces?.upstream(upstream, observer) ?? observer
    },
    ...upstreams,
  }
  const rules = createRulesInForce(await makeRules(config, deps, logins, certificates))
  closing.add(() => rules.close())
  for (const warning of rules.current.warnings) log.warn(warning)

  const budgets = createBudgets(config.limits, isProxy)

  const door = createOperatorDoor()
  const onConnection = (socket: Socket): void => door.admit(socket)
  const observed = createObservations(now)
  const count = cacheEventMetrics(metrics)
  const onEvent = (event: CacheEvent): void => {
    count(event)
    if (isOfNote(event)) noteCacheTrouble(observed, event)
  }
  const opened =
    config.cache &&
    (await openCache(config.cache, {
      log,
      now,
      fills: budgets.fills,
      upstreamConnections: config.limits.maxUpstreamConnections,
      onEvent,
      onConnection,
    }))
  closing.add(() => opened?.close())

  const api = Fastify({
    loggerInstance: log,
    // The access line says it all, once.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    rewriteUrl: routeOf,
    exposeHeadRoutes: false,
    genReqId: () => randomUUID(),
  }) as unknown as FastifyInstance
  traces?.requests(api)
  accessLog(api)
  requestMetrics(api, metrics, () => budgets.requests.requests.inUse)
  const trail = auditTrail(api, fields => audit.write(fields))
  const status = createStatus({
    observed,
    api,
    cache: opened && { blobs: opened.cache.blobs, images: () => opened.images() },
    upstreams: () => rules.current.upstreams,
  })
  registry(api, {
    rules: (request, response) => rules.take(request, response),
    sessions: createUploadSessions(config.uploads.sessionKey),
    cache: opened?.cache,
    budgets: budgets.requests,
    timeLimits: { ...TIME_LIMITS, ...timeLimits },
    isOperator: socket => door.isOperator(socket),
    onLogin: (socket, user) => budgets.connections.loggedIn(socket, user),
  })

  let retired = false
  let ports: OpenPorts = { data: [], operations: undefined }
  const operations = Fastify({ logger: false })
  health(operations, {
    isDraining: () => retired,
    checks: () => checksOf(rules.current.upstreams, opened, audit.state),
  })
  stateMetrics(metrics, { rules, opened, budgets, throttles: deps.throttles, audit, node })
  const reloaded = reloadMetrics(metrics)
  metricsEndpoint(operations, metrics, () => [processMetrics()])
  let { publicUrl, status: pageSettings } = config
  const lookers = auditTrail(operations, fields => audit.write(fields))
  statusPage(operations, {
    status,
    rules: (request, response) => rules.take(request, response),
    settings: () => ({ publicUrl, transferPrice: pageSettings.transferPrice }),
    sources: {
      upstreams: () => rules.current.upstreams,
      downloads: () => opened?.cache.blobs.downloads() ?? [],
      disk: async () => opened?.store.stats(),
      scrub: () => opened?.scrub?.state(),
      inFlight: () => ({
        requests: budgets.requests.requests.inUse,
        connections: budgets.connections.all.inUse,
      }),
      urls: () => ports.data.map(({ url }) => url),
      isDraining: () => retired,
    },
  })

  const commands = Fastify({ logger: false })
  if (opened) {
    control(commands, {
      ...opened,
      import: (bundle, renaming, signal) =>
        opened.import(
          bundle,
          renaming,
          ({ name }) => importedScope(rules.current.rules.upstreams, name),
          signal,
        ),
    })
  }

  closing.add(() => status.close())
  closing.add(() => [trail, lookers].forEach(each => each.close()))
  // The upstreams too, so that what they are asked for ends before the cache that it goes into.
  closing.add(() => Promise.all([api.close(), commands.close(), rules.close()]))
  closing.add(() => door.cut())
  await Promise.all([api.ready(), operations.ready(), commands.ready()])
  door.open((request, response) =>
    (request.url?.startsWith('/v2/') ? api : commands).routing(request, response),
  )
  if (!portless) ports = await openPorts(config, { api, operations, budgets, certificates, log })
  if (!portless) prepareTokens(rules.current)

  const retire = (): void => {
    retired = true
    for (const listener of ports.data) listener.retire()
  }

  return {
    urls: ports.data.map(({ url }) => url),
    operationsUrl: ports.operations?.url ?? '',
    async reload(fresh) {
      // What may fail comes first, and what of it is opened is closed again; then nothing fails any more.
      const certificates = portless ? undefined : await certificatesOf(fresh)
      const remade = await makeRules(fresh, deps, logins, certificates)
      await openAudit(audit, fresh).catch(async (error: unknown) => {
        await closeAll(remade.upstreams)
        throw error
      })
      rules.replace(remade)
      observers.keep(remade.upstreams.map(({ name }) => name))
      publicUrl = fresh.publicUrl
      pageSettings = fresh.status
      if (certificates) ports.data.forEach(listener => listener.useCertificates(certificates))
      for (const warning of remade.warnings) log.warn(warning)
      prepareTokens(remade)
    },
    retire,
    reloaded,
    async close(signal) {
      retire()
      await ended([...ports.data, door], signal)
      await closing.close()
      // Last of all, so that whoever watches the mirror sees it to its end.
      if (ports.operations) await ended([ports.operations], signal)
      await operations.close()
    },
  }
}

/** Opens the configured audit log anew. Throws a ConfigError, and leaves the one before as it was. */
async function openAudit(audit: AuditLog, config: Config): Promise<void> {
  await audit.use(config.audit?.file).catch((error: unknown) => {
    throw error instanceof AuditFileRefused ? new ConfigError([error.message], { cause: error }) : error
  })
}

/** Fetches the first tokens ahead of the first client; what fails is tried again and shows in /readyz. */
function prepareTokens({ upstreams }: MadeRules): void {
  for (const { tokens } of upstreams) tokens.current(AbortSignal.timeout(30_000)).catch(() => undefined)
}
