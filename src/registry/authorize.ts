import type { Principal } from '../access/policy.js'
import { OciError } from '../oci/error.js'
import { unauthorized } from './authenticate.js'
import type { Exchange } from './exchange.js'
import type { Target } from './target.js'

/** Whether a principal may have what a target asks for. */
export function isAllowed(principal: Principal, target: Target, { rules, address }: Exchange): boolean {
  const { upstream, place, actions } = target
  if (upstream === undefined || actions.length === 0) return true
  return actions.some(action =>
    rules.policy.allows({
      principal,
      address,
      upstream: upstream.name,
      repository: place?.repository,
      action,
    }),
  )
}

/** Whether a request's principal may push to the repository that the request is about. */
export function mayPush(exchange: Exchange): boolean {
  const { principal, target } = exchange
  return (
    principal !== undefined &&
    target !== undefined &&
    isAllowed(principal, { ...target, actions: ['push'] }, exchange)
  )
}

/** Throws unless the principal may; a stranger is asked to log in rather than refused. */
export function authorize(principal: Principal, target: Target, exchange: Exchange): void {
  if (isAllowed(principal, target, exchange)) return
  if (principal.kind === 'anonymous' && exchange.rules.hasUsers) {
    throw unauthorized('Log in to this mirror first: docker login <mirror>.')
  }
  const what = target.place ? ` ${target.place.repository}` : ''
  throw new OciError(
    'DENIED',
    `ecr-mirror: ${principal.name} may not ${target.actions[0] ?? 'use'}${what}; ask the mirror's operator for a grant.`,
  )
}
