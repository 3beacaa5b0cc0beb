import fc from 'fast-check'
import t from 'tap'
import { ACTIONS, ANONYMOUS, createPolicy, OPERATOR } from '../../src/access/policy.js'
import type { AccessRequest, Action, Grant, Principal } from '../../src/access/policy.js'

const ci: Principal = { kind: 'user', name: 'ci' }
const dev: Principal = { kind: 'user', name: 'dev' }
const node: Principal = { kind: 'certificate', name: 'node-7' }

function ask(over: Partial<AccessRequest> = {}): AccessRequest {
  return {
    principal: ci,
    address: '10.20.1.1',
    upstream: 'main',
    repository: 'team/app',
    action: 'pull',
    ...over,
  }
}

t.test('without a list of grants every user may pull and push everywhere, and nothing else', t => {
  const policy = createPolicy(undefined)
  for (const action of ACTIONS) {
    const granted = action === 'pull' || action === 'push'
    t.equal(
      policy.allows(ask({ action, principal: dev, upstream: 'any', address: undefined })),
      granted,
      action,
    )
    t.equal(policy.allows(ask({ action, principal: ANONYMOUS })), false, `anonymous ${action}`)
    t.equal(policy.allows(ask({ action, principal: node })), false, `certificate ${action}`)
  }
  t.end()
})

t.test('an empty list of grants denies everything', t => {
  const policy = createPolicy([])
  for (const action of ACTIONS)
    t.equal(policy.allows(ask({ action, repository: undefined, upstream: undefined })), false)
  t.end()
})

const team: Grant = { principals: ['ci'], repositories: ['team/**'], actions: ['pull', 'push'] }
const office: Grant = {
  principals: ['anonymous'],
  addresses: ['10.20.0.0/16', 'fd00::/8'],
  upstreams: ['hub'],
  repositories: ['library/**'],
  actions: ['pull'],
}

const cases: readonly (readonly [string, readonly Grant[], Partial<AccessRequest>, boolean])[] = [
  ['a granted pull', [team], {}, true],
  ['a granted push', [team], { action: 'push' }, true],
  ['an action not named', [team], { action: 'delete' }, false],
  ['another user', [team], { principal: dev }, false],
  ['another repository', [team], { repository: 'other/app' }, false],
  ['a repository that begins alike', [team], { repository: 'teams/app' }, false],
  ['upstreams left out mean all', [team], { upstream: 'hub' }, true],
  ['addresses left out mean any', [team], { address: undefined }, true],
  [
    'repositories left out mean all',
    [{ principals: ['ci'], actions: ['pull'] }],
    { repository: 'x/y' },
    true,
  ],
  ['an empty list of repositories means none', [{ ...team, repositories: [] }], {}, false],
  ['an empty list of upstreams means none', [{ ...team, upstreams: [] }], { upstream: undefined }, false],
  ['an empty list of addresses means none', [{ ...team, addresses: [] }], {}, false],
  ['an empty list of principals means nobody', [{ ...team, principals: [] }], {}, false],
  ['any grant is enough', [office, team], {}, true],
  [
    'two grants do not add up to a third',
    [team, office],
    { upstream: 'hub', repository: 'library/x' },
    false,
  ],
  ['* is every user', [{ ...team, principals: ['*'] }], { principal: dev }, true],
  ['* is not anonymous', [{ ...team, principals: ['*'] }], { principal: ANONYMOUS }, false],
  ['* is no certificate', [{ ...team, principals: ['*'] }], { principal: node }, false],
  ['a certificate by name', [{ ...team, principals: ['cert:node-7'] }], { principal: node }, true],
  ['certificates by pattern', [{ ...team, principals: ['cert:node-*'] }], { principal: node }, true],
  ['another certificate', [{ ...team, principals: ['cert:node-8'] }], { principal: node }, false],
  ['a user is no certificate of that name', [{ ...team, principals: ['cert:ci'] }], {}, false],
  [
    'a certificate is no user of that name',
    [team],
    { principal: { kind: 'certificate', name: 'ci' } },
    false,
  ],
  [
    'a certificate called anonymous',
    [{ ...team, principals: ['anonymous'] }],
    { principal: { kind: 'certificate', name: 'anonymous' } },
    false,
  ],
  ['users by pattern', [{ ...team, principals: ['c*'] }], {}, true],
  ['upstreams by pattern', [{ ...team, upstreams: ['ma*'] }], {}, true],
  ['another upstream', [{ ...team, upstreams: ['hub'] }], {}, false],
  [
    'anonymous from the office',
    [office],
    { principal: ANONYMOUS, upstream: 'hub', repository: 'library/x' },
    true,
  ],
  [
    'anonymous from the office over IPv6',
    [office],
    { principal: ANONYMOUS, upstream: 'hub', repository: 'library/x', address: 'fd12::1' },
    true,
  ],
  [
    'anonymous from the office on a socket for both families',
    [office],
    { principal: ANONYMOUS, upstream: 'hub', repository: 'library/x', address: '::ffff:10.20.0.9' },
    true,
  ],
  [
    'anonymous from elsewhere',
    [office],
    { principal: ANONYMOUS, upstream: 'hub', repository: 'library/x', address: '10.21.0.1' },
    false,
  ],
  [
    'anonymous from an address not known',
    [office],
    { principal: ANONYMOUS, upstream: 'hub', repository: 'library/x', address: undefined },
    false,
  ],
  ['a user is not anonymous', [office], { upstream: 'hub', repository: 'library/x' }, false],
  [
    'pull of some repository, where some is granted',
    [team],
    { repository: undefined, upstream: undefined },
    true,
  ],
  ['catalog, where only pull is granted', [team], { repository: undefined, action: 'catalog' }, false],
  [
    'catalog, granted with some repositories',
    [{ ...team, actions: ['catalog'] }],
    { repository: undefined, action: 'catalog' },
    true,
  ],
  [
    'catalog of an upstream that is not granted',
    [{ ...team, upstreams: ['hub'] }],
    { repository: undefined },
    false,
  ],
]

t.test('what a grant covers is allowed, and nothing else', t => {
  for (const [name, grants, request, allowed] of cases)
    t.equal(createPolicy(grants).allows(ask(request)), allowed, name)
  t.end()
})

t.test('whoever runs the mirror may pull everything and do nothing else, whatever is granted', t => {
  const all: Grant = { principals: ['*', 'operator', 'anonymous', 'cert:*'], actions: ACTIONS }
  for (const policy of [createPolicy([]), createPolicy([all]), createPolicy()])
    for (const action of ACTIONS)
      t.equal(policy.allows(ask({ principal: OPERATOR, action })), action === 'pull', action)
  t.equal(OPERATOR.name, 'operator')
  t.end()
})

t.test('a policy tells whether somebody without a password may do anything', t => {
  const flags = (...principals: string[]): unknown => {
    const { mentionsAnonymous, mentionsCertificates } = createPolicy([{ ...team, principals }])
    return { mentionsAnonymous, mentionsCertificates }
  }
  t.same(flags('ci'), { mentionsAnonymous: false, mentionsCertificates: false })
  t.same(flags('*'), { mentionsAnonymous: false, mentionsCertificates: false })
  t.same(flags('ci', 'anonymous'), { mentionsAnonymous: true, mentionsCertificates: false })
  t.same(flags('ci', 'cert:node'), { mentionsAnonymous: false, mentionsCertificates: true })
  t.same(flags('cert:node'), { mentionsAnonymous: false, mentionsCertificates: true })
  t.end()
})

t.test('a range of addresses that is none is refused at once', t => {
  t.throws(() => createPolicy([{ ...team, addresses: ['10.0.0.0/33'] }]), TypeError)
  t.end()
})

t.test('every policy decides as its plainest reading', t => {
  const subset = <T>(...of: T[]): fc.Arbitrary<T[]> => fc.subarray(of)
  const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
    fc.option(arbitrary, { nil: undefined })
  const grant: fc.Arbitrary<Grant> = fc.record({
    principals: subset('ci', 'dev', '*', 'anonymous', 'cert:n'),
    addresses: optional(subset('10.0.0.0/8', '10.1.0.0/16', '192.0.2.7')),
    upstreams: optional(subset('main', 'hub', '*')),
    repositories: optional(subset('a', 'a/*', 'a/**', '**', '**/b')),
    actions: subset<Action>(...ACTIONS),
  })
  const request: fc.Arbitrary<AccessRequest> = fc.record({
    principal: fc.constantFrom<Principal>(ci, dev, ANONYMOUS, { kind: 'certificate', name: 'n' }),
    address: fc.constantFrom(undefined, '10.2.3.4', '10.1.3.4', '192.0.2.7', '198.51.100.1'),
    upstream: fc.constantFrom(undefined, 'main', 'hub', 'third'),
    repository: fc.constantFrom(undefined, 'a', 'a/b', 'a/b/c', 'b', 'x/b'),
    action: fc.constantFrom(...ACTIONS),
  })
  const within: Readonly<Record<string, string>> = {
    '10.0.0.0/8': '10.',
    '10.1.0.0/16': '10.1.',
    '192.0.2.7': '192.0.2.7',
  }
  const repositories: Readonly<Record<string, RegExp>> = {
    a: /^a$/,
    'a/*': /^a\/[^/]*$/,
    'a/**': /^a\/.*$/,
    '**': /^.*$/,
    '**/b': /^(.*\/)?b$/,
  }
  const principalText = ({ kind, name }: Principal): string =>
    kind === 'certificate' ? `cert:${name}` : name
  const oracle = (grants: readonly Grant[], asked: AccessRequest): boolean =>
    grants.some(each => {
      if (!each.actions.includes(asked.action)) return false
      const byName = each.principals.includes(principalText(asked.principal))
      if (!byName && !(asked.principal.kind === 'user' && each.principals.includes('*'))) return false
      if (each.addresses && !each.addresses.some(range => asked.address?.startsWith(within[range]!) ?? false))
        return false
      if (
        each.upstreams &&
        !each.upstreams.some(name => [undefined, name].includes(asked.upstream) || name === '*')
      )
        return false
      return (
        !each.repositories ||
        each.repositories.some(
          name => asked.repository === undefined || repositories[name]!.test(asked.repository),
        )
      )
    })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.array(grant, { maxLength: 4 }),
        request,
        (grants, asked) => createPolicy(grants).allows(asked) === oracle(grants, asked),
      ),
      { numRuns: 5000 },
    ),
  )
  t.end()
})
