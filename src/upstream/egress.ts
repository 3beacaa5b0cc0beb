import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { buildConnector, EnvHttpProxyAgent, type Dispatcher } from 'undici'
import { readsInto } from '../read-buffers.js'
import { kindOfAddress } from './address.js'
import { countBodies } from './body-bytes.js'
import { UNOBSERVED, type UpstreamObserver } from './observer.js'
import type { Pools } from './pools.js'

/**
 * How far a host is trusted with where it leads: `private` may lead into private networks (a VPC endpoint), `listed`
 * was named by the operator as the very place to connect to and may also lead to this machine. An address that no
 * registry can have is connected to only when it was itself what the operator listed.
 */
export type Trust = 'public' | 'private' | 'listed'

/** A connection was not opened because of where it would have led. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
}

export function mayConnect(host: string, address: string, trust: Trust): boolean {
  switch (kindOfAddress(address)) {
    case 'public':
      return true
    case 'private':
      return trust !== 'public'
    case 'loopback':
      return trust === 'listed'
    case 'never':
      return trust === 'listed' && host === address
  }
}

type Lookup = typeof dnsLookup

export interface ConnectorOptions {
  /** `port` is the one connected to. */
  readonly trustOf: (host: string, port: number) => Trust
  /** The name to send and to verify in TLS; otherwise the host connected to. */
  readonly servername?: string
  /** Milliseconds until connected, TLS included. */
  readonly timeout?: number
  /** A registry's or a test's own authorities instead of Node's. */
  readonly ca?: string
  readonly lookup?: Lookup
  /** Whether connections read into buffers that readers of large bodies give back (`giveBack`). */
  readonly reuseBuffers?: boolean
}

/** Bytes that are read at a time; a TLS record has at most 16 KiB. */
const PLAIN_READ = 64 * 1024
const TLS_READ = 16 * 1024

/**
 * undici's connector, opening connections only to where a host may lead. It looks after the name was resolved, at
 * each connection, so that a name cannot change its mind in between. Certificates are always verified.
 */
export function createConnector({
  trustOf,
  servername,
  timeout = 5000,
  ca,
  lookup = dnsLookup,
  reuseBuffers = false,
}: ConnectorOptions): buildConnector.connector {
  const common = {
    timeout,
    allowH2: false,
    rejectUnauthorized: true,
    ...(ca !== undefined && { ca }),
  }
  const connectors = new Map<string, buildConnector.connector>()
  const connectorFor = (trust: Trust, protocol: string): buildConnector.connector => {
    const key = `${trust} ${protocol}`
    const known = connectors.get(key)
    if (known) return known
    const made = buildConnector({
      ...common,
      lookup: guardedLookup(lookup, trust),
      ...(reuseBuffers && { onread: readsInto(protocol === 'https:' ? TLS_READ : PLAIN_READ) }),
    })
    connectors.set(key, made)
    return made
  }

  return (options, callback) => {
    const { hostname, protocol, port } = options
    const trust = trustOf(hostname, Number(port) || (protocol === 'https:' ? 443 : 80))
    // An address needs no lookup, so there is none to refuse it.
    if (isIP(hostname) !== 0 && !mayConnect(hostname, hostname, trust)) {
      callback(new AddressRefused('The address is not one to connect to.'), null)
      return
    }
    connectorFor(trust, protocol)(servername === undefined ? options : { ...options, servername }, callback)
  }
}

/** Gives only those of a name's addresses that may be connected to. */
function guardedLookup(lookup: Lookup, trust: Trust): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error) {
        callback(error, '', 0)
        return
      }
      const permitted = addresses.filter(({ address }) => mayConnect(host, address, trust))
      const [first] = permitted
      if (!first) callback(new AddressRefused('The name leads to no address to connect to.'), '', 0)
      else if (options.all) callback(null, permitted)
      else callback(null, first.address, first.family)
    })
  }
}

export interface DispatcherOptions extends ConnectorOptions {
  /** Most connections to one origin. */
  readonly connections?: number
  /** Makes them, where somebody wants to know how many there are. */
  readonly pools?: Pools
  /** Milliseconds from a request's end to its answer's headers. */
  readonly headersTimeout?: number
  /** Milliseconds between two pieces of a body. */
  readonly bodyTimeout?: number
  /** Is told of the bytes that pass. */
  readonly observer?: Pick<UpstreamObserver, 'received' | 'sent'>
}

/**
 * Where every connection to a registry or its storage comes from: one pool for each origin, by way of HTTPS_PROXY
 * and NO_PROXY where they are set (then the proxy resolves names, and only the names are checked). A HEAD leaves its
 * connection open, which undici by itself does not.
 */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const {
    servername,
    ca,
    timeout = 5000,
    connections = 128,
    headersTimeout = 30_000,
    bodyTimeout = 60_000,
    pools,
    observer = UNOBSERVED,
  } = options
  const agent = new EnvHttpProxyAgent({
    connect: createConnector(options),
    requestTls: {
      rejectUnauthorized: true,
      timeout,
      ...(servername !== undefined && { servername }),
      ...(ca !== undefined && { ca }),
    },
    connections,
    ...(pools && { factory: pools.factory }),
    pipelining: 1,
    allowH2: false,
    headersTimeout,
    bodyTimeout,
  })
  return agent.compose(
    countBodies(observer),
    dispatch => (request, handler) =>
      dispatch(request.method === 'HEAD' ? { ...request, reset: false } : request, handler),
  )
}
