import { createAddressSet, type AddressSet } from './address-set.js'
import { compilePattern, type Pattern } from './pattern.js'

/**
 * Who asks: a user by name, a client certificate by its common name, nobody in particular, or whoever runs the mirror,
 * by way of the socket in its cache directory.
 */
export interface Principal {
  readonly kind: 'user' | 'certificate' | 'anonymous' | 'operator'
  readonly name: string
}

export const ANONYMOUS: Principal = { kind: 'anonymous', name: 'anonymous' }

/** May pull everything, to fill the cache, and do nothing else. */
export const OPERATOR: Principal = { kind: 'operator', name: 'operator' }

export const ACTIONS = ['pull', 'push', 'delete', 'catalog', 'status'] as const

/** What can be granted. `pull` also covers tags and referrers, `push` the HEADs that a push needs. */
export type Action = (typeof ACTIONS)[number]

/** One entry of the configuration's `policy`; what is left out means all. */
export interface Grant {
  /** User names, `cert:<common name>`, `anonymous`; with patterns, of which `*` is every user who has logged in. */
  readonly principals: readonly string[]
  /** Addresses and ranges in CIDR notation. */
  readonly addresses?: readonly string[] | undefined
  /** Names of upstreams, or patterns of them. */
  readonly upstreams?: readonly string[] | undefined
  /** Patterns of repositories, as clients name them without the upstream's name and before `repositoryPrefix`. */
  readonly repositories?: readonly string[] | undefined
  readonly actions: readonly Action[]
}

/**
 * What is asked for. Without an upstream or a repository the question is whether there may be any for which the answer
 * is yes: for the base and the catalog, which belong to no repository. Both must be spelled out, so that none is
 * left out by accident.
 */
export interface AccessRequest {
  readonly principal: Principal
  /** The client's, from `clientAddress`; undefined matches no grant that names addresses. */
  readonly address: string | undefined
  readonly upstream: string | undefined
  readonly repository: string | undefined
  readonly action: Action
}

export interface Policy {
  allows(request: AccessRequest): boolean
  /** Whether anything at all is granted to those who do not log in. */
  readonly mentionsAnonymous: boolean
  /** Whether anything at all is granted to a client certificate. */
  readonly mentionsCertificates: boolean
}

const DEFAULT_GRANTS: readonly Grant[] = [{ principals: ['*'], actions: ['pull', 'push'] }]

/**
 * The policy that these grants make; what none of them allows is denied. Without any list of grants every user may
 * pull and push on every upstream. Throws a TypeError on an address range that `isAddressRange` refuses.
 */
export function createPolicy(grants: readonly Grant[] = DEFAULT_GRANTS): Policy {
  const rules = grants.map(compile)
  const names = grants.flatMap(grant => grant.principals)
  return {
    allows: request =>
      request.principal.kind === 'operator'
        ? request.action === 'pull'
        : rules.some(rule => covers(rule, request)),
    mentionsAnonymous: names.includes('anonymous'),
    mentionsCertificates: names.some(name => name.startsWith(CERTIFICATE_PREFIX)),
  }
}

const CERTIFICATE_PREFIX = 'cert:'

/** A grant, ready to be compared. */
interface Rule {
  readonly principals: readonly { readonly kind: Principal['kind']; readonly matches: Pattern }[]
  readonly addresses: AddressSet | undefined
  readonly upstreams: readonly Pattern[] | undefined
  readonly repositories: readonly Pattern[] | undefined
  readonly actions: ReadonlySet<Action>
}

function compile(grant: Grant): Rule {
  return {
    principals: grant.principals.map(compilePrincipal),
    addresses: grant.addresses && createAddressSet(grant.addresses),
    upstreams: grant.upstreams?.map(compilePattern),
    repositories: grant.repositories?.map(compilePattern),
    actions: new Set(grant.actions),
  }
}

/** A pattern stays within its kind: `*` is no certificate and not anonymous. */
function compilePrincipal(text: string): Rule['principals'][number] {
  if (text === 'anonymous') return { kind: 'anonymous', matches: () => true }
  if (!text.startsWith(CERTIFICATE_PREFIX)) return { kind: 'user', matches: compilePattern(text) }
  return { kind: 'certificate', matches: compilePattern(text.slice(CERTIFICATE_PREFIX.length)) }
}

function covers(rule: Rule, { principal, address, upstream, repository, action }: AccessRequest): boolean {
  return (
    rule.actions.has(action) &&
    rule.principals.some(({ kind, matches }) => kind === principal.kind && matches(principal.name)) &&
    (rule.addresses === undefined || (address !== undefined && rule.addresses.has(address))) &&
    matchesAny(rule.upstreams, upstream) &&
    matchesAny(rule.repositories, repository)
  )
}

/** An empty list matches nothing, not even the question for any. */
function matchesAny(patterns: readonly Pattern[] | undefined, name: string | undefined): boolean {
  if (patterns === undefined) return true
  return name === undefined ? patterns.length > 0 : patterns.some(matches => matches(name))
}
