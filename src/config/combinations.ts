import { parseEcrHost } from '../upstream/ecr-host.js'
import type { Problem } from './explain.js'
import type { Path } from './layer.js'
import type { ListenAddress } from './fields.js'
import type { PlainUser, Settings } from './schema.js'
import { shown } from './shown.js'
import { suggestion } from './suggestion.js'

type Upstream = Settings['upstreams'][number]

/** What is right by itself but impossible together. */
export function impossibleCombinations(
  settings: Settings,
  plainUsers: readonly PlainUser[],
  needsUsers: boolean,
): Problem[] {
  return [
    ...settings.upstreams.flatMap((upstream, index) => [
      ...clashes(upstream, settings.upstreams.slice(0, index), ['upstreams', index]),
      ...servesClashes(upstream, index, settings.upstreams),
      ...uncreatable(upstream, ['upstreams', index, 'createRepositories']),
      ...roleless(upstream, ['upstreams', index, 'credentials']),
    ]),
    ...policyProblems(settings),
    ...listenProblems(settings),
    ...(needsUsers ? nobodyComesIn(settings, plainUsers) : []),
  ]
}

function clashes(upstream: Upstream, earlier: readonly Upstream[], path: Path): Problem[] {
  const problems: Problem[] = []
  const add = (key: string, message: string): void => void problems.push({ path: [...path, key], message })
  const { name, host } = upstream
  const otherDefault = earlier.find(other => other.default)
  if (earlier.some(other => other.name === name))
    add('name', `found "${name}" a second time; names must differ`)
  if (upstream.default && otherDefault) {
    add('default', `found true, but "${otherDefault.name}" is the default already; there can be one`)
  }
  const owner = earlier.find(other => other.host === host && other.repositoryPrefix === '')
  if (upstream.repositoryPrefix === '' && owner) {
    add(
      'host',
      `found the host of "${owner.name}" again; of upstreams that share a host only one can be without repositoryPrefix`,
    )
  }
  return problems
}

function servesClashes(upstream: Upstream, index: number, all: readonly Upstream[]): Problem[] {
  return upstream.serves.flatMap((name, position) => {
    const path = ['upstreams', index, 'serves', position]
    if (upstream.serves.indexOf(name) < position) return [{ path, message: `found ${name} a second time` }]
    const other = all.find(
      (each, at) => each !== upstream && (each.host === name || (at < index && each.serves.includes(name))),
    )
    return other ? [{ path, message: `found ${name}, which means "${other.name}" already` }] : []
  })
}

function roleless({ credentials }: Upstream, path: Path): Problem[] {
  if (credentials.roleArn !== undefined) return []
  return (['externalId', 'sessionName'] as const)
    .filter(key => credentials[key] !== undefined)
    .map(key => ({
      path: [...path, key],
      message: 'is of no use without roleArn; expected roleArn beside it',
    }))
}

function uncreatable({ host, createRepositories }: Upstream, path: Path): Problem[] {
  if (!createRepositories) return []
  const { encryption } = createRepositories
  return [
    ...(parseEcrHost(host)?.kind === 'public'
      ? [{ path, message: 'repositories of ECR Public are not created on push; take the key out' }]
      : []),
    ...(encryption?.key !== undefined && encryption.type === 'AES256'
      ? [
          {
            path: [...path, 'encryption', 'key'],
            message: 'is of no use with AES256; expected type: KMS or KMS_DSSE beside it',
          },
        ]
      : []),
  ]
}

function policyProblems({ policy, upstreams, tls }: Settings): Problem[] {
  const names = upstreams.map(({ name }) => name)
  return (policy ?? []).flatMap((grant, index) => [
    ...(grant.upstreams ?? []).flatMap((name, position) =>
      names.includes(name) || name.includes('*')
        ? []
        : [
            {
              path: ['policy', index, 'upstreams', position],
              message: `found ${shown(name)}, expected the name of an upstream: ${names.join(', ')}${suggestion(name, names)}`,
            },
          ],
    ),
    ...grant.principals.flatMap((principal, position) =>
      !isCertificate(principal) || tls.some(({ clientCa }) => clientCa !== undefined)
        ? []
        : [
            {
              path: ['policy', index, 'principals', position],
              message: `found ${JSON.stringify(principal)}, but without tls.clientCa no client can show a certificate`,
            },
          ],
    ),
  ])
}

function listenProblems({ listen, operations }: Settings): Problem[] {
  return listen.some(address => overlap(address, operations.listen))
    ? [
        {
          path: ['operations', 'listen'],
          message: 'found an address where clients connect already; expected another port',
        },
      ]
    : []
}

/** Port 0 is a free port each time it is asked for. */
function overlap(one: ListenAddress, other: ListenAddress): boolean {
  const everywhere = (host: string): boolean => host === '0.0.0.0' || host === '::'
  if (one.port !== other.port || one.port === 0) return false
  return one.host === other.host || everywhere(one.host) || everywhere(other.host)
}

function nobodyComesIn({ users, policy }: Settings, plainUsers: readonly PlainUser[]): Problem[] {
  const withoutPassword = (policy ?? []).some(grant =>
    grant.principals.some(principal => principal === 'anonymous' || isCertificate(principal)),
  )
  if (users.htpasswd !== undefined || plainUsers.length > 0 || withoutPassword) return []
  const message =
    'nobody could log in; expected users.htpasswd, ECR_MIRROR_USERS="name:password", or a grant to anonymous or to a certificate'
  return [{ path: ['users'], message }]
}

function isCertificate(principal: string): boolean {
  return principal.startsWith('cert:')
}
