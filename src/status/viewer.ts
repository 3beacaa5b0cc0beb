import type { FastifyRequest } from 'fastify'
import { clientAddress } from '../access/client-address.js'
import type { Principal } from '../access/policy.js'
import { authenticate } from '../registry/authenticate.js'
import type { Exchange } from '../registry/exchange.js'
import type { NamedPlace } from './place.js'

/** Whoever looks at the page, and which names are shown. */
export interface Viewer {
  readonly principal: Principal
  /** Whether there may be any name to see. */
  readonly seesNames: boolean
  seesUpstream(name: string): boolean
  sees(place: NamedPlace): boolean
  /** Differs for viewers who may see different things. */
  readonly key: string
}

/**
 * Who looks, by the very login that the registry asks for. Whoever sends no credentials is nobody in particular, unless
 * `mustLogIn`. Throws the registry's 401 or 429.
 */
export async function identify(
  request: FastifyRequest,
  exchange: Exchange,
  mustLogIn: boolean,
): Promise<Viewer> {
  const { policy, trustedProxies } = exchange.rules
  exchange.address = clientAddress({
    peer: request.socket.remoteAddress,
    forwardedFor: request.headers['x-forwarded-for']?.toString(),
    trustedProxies,
  })
  const isOpen = !mustLogIn && request.headers.authorization === undefined
  const principal = await authenticate(request, exchange, isOpen)
  exchange.principal = principal
  const { address } = exchange
  const allows = (upstream?: string, repository?: string): boolean =>
    policy.allows({ principal, address, upstream, repository, action: 'status' })
  return {
    principal,
    seesNames: allows(),
    seesUpstream: name => allows(name),
    sees: ({ upstream, repository }) => allows(upstream, repository),
    key: JSON.stringify([principal.kind, principal.name, address]),
  }
}
