import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startEcr, type SeededBlob } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { authorization, mirrorOf } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'
import { ask } from '../support/requests.js'

const ACCOUNTS = ['111111111111', '222222222222', '333333333333'] as const
const REGIONS = ['us-east-1', 'eu-west-1'] as const
const REPOSITORIES = ['team/app', 'team/base', 'library/tools'] as const
const REQUESTS = 2000
const ROLE = 'arn:aws:iam::333333333333:role/ecr-mirror'

interface Place {
  readonly account: string
  readonly region: string
  readonly repository: string
  readonly blob: SeededBlob
  readonly manifest: Buffer
}

t.test('six registries with the same names and other contents are never mixed up', async t => {
  const where = ACCOUNTS.flatMap(account => REGIONS.map(region => ({ account, region })))
  const ecr = await startEcr({ accounts: where, knobs: { layerInaccessibleUntilTagged: false } })
  t.teardown(() => ecr.close())
  process.env.AWS_ENDPOINT_URL_STS = ecr.url
  t.teardown(() => Reflect.deleteProperty(process.env, 'AWS_ENDPOINT_URL_STS'))
  const directory = await mkdtemp(join(tmpdir(), 'registries-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))

  const places: Place[] = []
  /** In every registry, so that the store has it once. */
  const shared = { size: 5000, seed: 'of all' }
  for (const { account, region } of where)
    for (const repository of REPOSITORIES) {
      const seed = `${account} ${region} ${repository}`
      const options = { account, region, layers: [{ size: 3000, seed }, shared] }
      await ecr.putImage(repository, 'latest', options)
      const blob = await ecr.putBlob(repository, { size: 3000, seed }, { account, region })
      const manifest = ecr.manifest(repository, 'latest', { account, region })!.bytes
      places.push({ account, region, repository, blob, manifest })
    }

  const mirror = await mirrorOf(t, ecr, {
    settings: {
      cache: { directory },
      upstreams: where.map(({ account, region }, index) => ({
        name: `${region}-${account}`,
        host: ecr.hostOf({ account, region }),
        default: index === 0,
        ...reachOf(ecr),
        ...(account === '333333333333' && { credentials: { roleArn: ROLE } }),
      })),
    },
  })
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())

  /** The three ways to name a registry. */
  const ways: readonly ((place: Place, rest: string) => { path: string; host?: string })[] = [
    ({ account, region, repository }, rest) => ({
      path: `/v2/${region}-${account}/${repository}/${rest}`,
    }),
    ({ account, region, repository }, rest) => ({
      path: `/v2/${repository}/${rest}?ns=${ecr.hostOf({ account, region })}`,
    }),
    ({ account, region, repository }, rest) => ({
      path: `/v2/${repository}/${rest}`,
      host: ecr.hostOf({ account, region }),
    }),
  ]
  const wrong: string[] = []
  const results = new Map<string, number>()
  async function request(index: number): Promise<void> {
    // A walk in large steps, so that neighbours in time are of different registries.
    const place = places[(index * 7) % places.length]!
    const elsewhere = places[(index * 11 + 5) % places.length]!
    const way = ways[index % ways.length]!
    const { account, region, repository } = place
    const kind = ['manifest', 'blob', 'foreign'][Math.floor(index / 3) % 3]
    const rest =
      kind === 'manifest'
        ? 'manifests/latest'
        : `blobs/${kind === 'blob' ? place.blob.digest : elsewhere.blob.digest}`
    const { path, host } = way(place, rest)
    const answer = await ask(mirror.url + path, {
      agent,
      headers: { authorization, accept: '*/*', ...(host !== undefined && { host }) },
    })
    const what = `${kind} of ${account} ${region} ${repository}: ${answer.status}`
    const cached = String(answer.headers['x-cache'])
    results.set(cached, (results.get(cached) ?? 0) + 1)
    if (kind === 'manifest' && !(answer.status === 200 && answer.bytes.equals(place.manifest)))
      wrong.push(what)
    if (kind === 'blob' && !(answer.status === 200 && digestOf(answer.bytes) === place.blob.digest))
      wrong.push(what)
    const here = elsewhere === place
    if (kind === 'foreign' && answer.status !== (here ? 200 : 404)) wrong.push(what)
  }
  let next = 0
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < REQUESTS) await request(next++)
    }),
  )
  t.equal(next, REQUESTS)
  t.same(wrong, [])
  t.comment(JSON.stringify(Object.fromEntries(results)))
  t.ok((results.get('hit') ?? 0) > REQUESTS / 3, 'the cache was in use')

  const calls = ecr.requests.filter(({ action }) => action === 'GetAuthorizationToken')
  const sources = calls.map(({ region, accessKeyId }) => `${region} ${accessKeyId}`)
  t.equal(calls.length, 4, 'a token for each region of the default credentials and of the role')
  t.equal(new Set(sources).size, 4)
})
