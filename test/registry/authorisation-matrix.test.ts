import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { startEcr, type Ecr, type Where } from '../ecr/ecr.js'
import { mirrorOf } from '../support/mirror.js'
import { ask } from '../support/requests.js'
import { inRing } from '../support/ring.js'

const USERS = ['alice', 'bob', 'carol', 'dave'] as const
type User = (typeof USERS)[number]
const REGISTRIES = ['east', 'west'] as const
const ACCOUNT: Record<(typeof REGISTRIES)[number], Where> = {
  east: { account: '111111111111', region: 'us-east-1' },
  west: { account: '222222222222', region: 'eu-west-1' },
}
const REPOSITORIES = [
  'team-a/one',
  'team-a/two',
  'team-b/one',
  'team-b/two',
  'shared/base',
  'secret/x',
] as const
const STATES = ['cold', 'warm', 'warmed by another repository', 'deleted'] as const
const MOUNT_TARGET = 'team-a/target'

const GRANTS = [
  { principals: ['alice'], repositories: ['team-a/**'], actions: ['pull', 'push'] },
  { principals: ['bob'], repositories: ['team-b/**', 'shared/*'], actions: ['pull'] },
  { principals: ['bob'], upstreams: ['west'], repositories: ['secret/**'], actions: ['push'] },
  { principals: ['carol'], actions: ['pull', 'push', 'delete'] },
]

/** The model: who may do what, in as few words as there are. */
function may(user: User, action: 'pull' | 'push', registry: string, repository: string): boolean {
  if (user === 'carol') return true
  if (user === 'alice') return repository.startsWith('team-a/')
  if (user === 'bob' && action === 'pull') return /^(team-b|shared)\//.test(repository)
  return user === 'bob' && registry === 'west' && repository.startsWith('secret/')
}

interface Cell {
  readonly registry: (typeof REGISTRIES)[number]
  readonly repository: string
  readonly state: (typeof STATES)[number]
  readonly digest: string
  readonly bytes: Buffer
}

/** What each kind of request is answered, by the model. */
const ROUTES: readonly {
  readonly what: string
  request(cell: Cell): [method: string, path: string, headers?: Record<string, string>]
  expected(user: User, cell: Cell): number
}[] = [
  {
    what: 'GET blob',
    request: ({ registry, repository, digest }) => ['GET', `/v2/${registry}/${repository}/blobs/${digest}`],
    expected: (user, cell) => read(user, cell, 200),
  },
  {
    what: 'GET blob again',
    request: ({ registry, repository, digest }) => ['GET', `/v2/${registry}/${repository}/blobs/${digest}`],
    expected: (user, cell) => read(user, cell, 200),
  },
  {
    what: 'HEAD blob',
    request: ({ registry, repository, digest }) => ['HEAD', `/v2/${registry}/${repository}/blobs/${digest}`],
    expected: (user, cell) => {
      const { registry, repository } = cell
      return may(user, 'push', registry, repository)
        ? cell.state === 'deleted'
          ? 404
          : 200
        : read(user, cell, 200)
    },
  },
  {
    what: 'GET a range',
    request: ({ registry, repository, digest }) => [
      'GET',
      `/v2/${registry}/${repository}/blobs/${digest}`,
      { range: 'bytes=10-19' },
    ],
    expected: (user, cell) => read(user, cell, 206),
  },
  {
    what: 'GET manifest',
    request: ({ registry, repository }) => ['GET', `/v2/${registry}/${repository}/manifests/latest`],
    expected: (user, { registry, repository }) => (may(user, 'pull', registry, repository) ? 200 : 403),
  },
  {
    what: 'HEAD manifest',
    request: ({ registry, repository }) => ['HEAD', `/v2/${registry}/${repository}/manifests/latest`],
    expected: (user, { registry, repository }) =>
      may(user, 'pull', registry, repository) || may(user, 'push', registry, repository) ? 200 : 403,
  },
  {
    what: 'GET tags',
    request: ({ registry, repository }) => ['GET', `/v2/${registry}/${repository}/tags/list`],
    expected: (user, { registry, repository }) => (may(user, 'pull', registry, repository) ? 200 : 403),
  },
  {
    what: 'DELETE blob',
    request: ({ registry, repository }) => [
      'DELETE',
      `/v2/${registry}/${repository}/blobs/sha256:${'0'.repeat(64)}`,
    ],
    expected: user => (user === 'carol' ? 404 : 403),
  },
  {
    what: 'mount',
    request: ({ registry, repository, digest }) => [
      'POST',
      `/v2/${registry}/${MOUNT_TARGET}/blobs/uploads/?mount=${digest}&from=${registry}/${repository}`,
    ],
    expected: (user, { registry, repository, state }) => {
      if (!may(user, 'push', registry, MOUNT_TARGET)) return 403
      return may(user, 'pull', registry, repository) && state !== 'deleted' ? 201 : 202
    },
  },
]

function read(user: User, { registry, repository, state }: Cell, found: number): number {
  if (!may(user, 'pull', registry, repository)) return 403
  return state === 'deleted' ? 404 : found
}

t.test('who gets what, in every state of the cache, is as the model says', async t => {
  const { ecr, send } = await startMatrix(t)
  const cells = await Promise.all(
    REGISTRIES.flatMap(registry =>
      REPOSITORIES.flatMap(repository => STATES.map(state => prepare(ecr, { registry, repository, state }))),
    ),
  )
  for (const { registry, repository, state, digest } of cells) {
    const other = repository === 'shared/base' ? 'secret/x' : 'shared/base'
    const warming = {
      cold: undefined,
      warm: repository,
      deleted: repository,
      'warmed by another repository': other,
    }[state]
    if (warming === undefined) continue
    const warmed = await send('carol', 'GET', `/v2/${registry}/${warming}/blobs/${digest}`)
    if (warmed.status !== 200) t.fail(`could not warm ${repository}`)
    if (state === 'deleted') await send('carol', 'DELETE', `/v2/${registry}/${repository}/blobs/${digest}`)
  }

  let count = 0
  const differences: string[] = []
  for (const cell of cells) {
    for (const user of USERS) {
      for (const route of ROUTES) {
        const [method, path, headers] = route.request(cell)
        const answer = await send(user, method, path, headers)
        const { what } = route
        const wanted = route.expected(user, cell)
        const leaked = wanted >= 400 && answer.bytes.includes(cell.bytes.subarray(0, 32))
        const leaky =
          wanted >= 400 &&
          (answer.headers['x-cache'] ?? answer.headers['docker-content-digest']) !== undefined
        if (answer.status !== wanted || leaked || leaky) {
          differences.push(
            `${user} ${what} ${cell.registry}/${cell.repository} (${cell.state}): ${answer.status}, not ${wanted}`,
          )
        }
        count++
      }
    }
  }
  t.equal(count, 1728)
  t.same(differences, [])
})

async function prepare(ecr: Ecr, place: Omit<Cell, 'digest' | 'bytes'>): Promise<Cell> {
  const bytes = randomBytes(200)
  const where = ACCOUNT[place.registry]
  const { digest } = await ecr.putBlob(place.repository, bytes, where)
  // Bytes that are elsewhere too, so that the store keeps them whatever happens here.
  await ecr.putBlob(place.repository === 'shared/base' ? 'secret/x' : 'shared/base', bytes, where)
  ecr.createRepository(MOUNT_TARGET, where)
  if (!ecr.manifest(place.repository, 'latest', where)) await ecr.putImage(place.repository, 'latest', where)
  return { ...place, digest, bytes }
}

const SEEDED = ['team-a/one', 'team-b/one', 'shared/base'] as const

type Step =
  | { readonly do: 'put'; readonly repository: string; readonly blob: number }
  | { readonly do: 'delete'; readonly repository: string; readonly blob: number }
  | {
      readonly do: 'GET' | 'HEAD' | 'range'
      readonly user: User
      readonly repository: string
      readonly blob: number
    }

const place = { repository: fc.constantFrom(...SEEDED), blob: fc.nat(1) }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('put' as const), ...place }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), ...place }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('GET' as const, 'HEAD' as const, 'range' as const),
      user: fc.constantFrom('alice' as const, 'bob' as const, 'carol' as const),
      ...place,
    }),
  },
)

const HISTORIES = inRing({ short: 300, long: 2_000 })

t.test('whatever comes and goes, nobody gets what the model does not give', async t => {
  const { ecr, send } = await startMatrix(t)
  for (const repository of SEEDED) ecr.createRepository(repository, ACCOUNT.east)
  let steps = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 20 }), async sequence => {
      const blobs = [randomBytes(100), randomBytes(100)]
      const digests = blobs.map(bytes => `sha256:${createHash('sha256').update(bytes).digest('hex')}`)
      const contains = new Set<string>()
      for (const each of sequence) {
        steps++
        const { repository, blob } = each
        const path = `/v2/east/${repository}/blobs/${digests[blob]}`
        const key = `${repository} ${blob}`
        if (each.do === 'put') {
          await ecr.putBlob(repository, blobs[blob]!, ACCOUNT.east)
          contains.add(key)
        } else if (each.do === 'delete') {
          const { status } = await send('carol', 'DELETE', path)
          if (status !== (contains.delete(key) ? 202 : 404)) throw new Error(`delete of ${key}: ${status}`)
        } else {
          const range = each.do === 'range'
          const { status, bytes } = await send(
            each.user,
            range ? 'GET' : each.do,
            path,
            range ? { range: 'bytes=0-9' } : {},
          )
          const pulls = may(each.user, 'pull', 'east', repository)
          const allowed = pulls || (each.do === 'HEAD' && may(each.user, 'push', 'east', repository))
          const wanted = !allowed ? 403 : !contains.has(key) ? 404 : range ? 206 : 200
          if (status !== wanted) throw new Error(`${each.user} ${each.do} ${key}: ${status}, not ${wanted}`)
          if (status >= 400 && bytes.includes(blobs[blob]!.subarray(0, 10))) throw new Error('bytes leaked')
        }
      }
    }),
    { numRuns: HISTORIES, seed: 20261123 },
  )
  t.comment(`${HISTORIES} histories, ${steps} steps`)
  t.ok(steps > HISTORIES * 4)
})

async function startMatrix(t: Test) {
  const directory = await mkdtemp(join(tmpdir(), 'matrix-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const ecr = await startEcr({ profile: 'spec', accounts: Object.values(ACCOUNT) })
  t.teardown(() => ecr.close())
  const mirror = await mirrorOf(t, ecr, {
    users: USERS.map(user => `${user}:${user}`).join(','),
    settings: {
      cache: { directory },
      policy: GRANTS,
      upstreams: REGISTRIES.map((name, index) => ({
        name,
        host: ecr.hostOf(ACCOUNT[name]),
        default: index === 0,
        endpoint: ecr.url,
        apiEndpoint: ecr.url,
      })),
    },
  })
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const send = (user: User, method: string, path: string, headers: Record<string, string> = {}) =>
    ask(mirror.url + path, {
      method,
      agent,
      headers: { ...headers, authorization: `Basic ${Buffer.from(`${user}:${user}`).toString('base64')}` },
    })

  return { ecr, send }
}
