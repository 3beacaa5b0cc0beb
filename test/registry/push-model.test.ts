import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { localImage, localIndex, type LocalImage } from '../support/images.js'
import { authorization, mirrorOf, USER, type MirrorUnderTest } from '../support/mirror.js'
import { PUSH_CLIENTS, PushFailed, type PushedTo } from '../support/push-clients.js'
import { digestOf } from '../support/pushing.js'
import { ask as plainly } from '../support/requests.js'
import { inRing } from '../support/ring.js'
import { dice, type Dice } from '../support/seeded.js'

/** Histories in all, and how many of them one mirror lives through. */
const SEQUENCES = inRing({ short: 80, long: 2_000 })
const BATCH = 40
const FIRST_SEED = Number(process.env['PUSH_MODEL_SEED'] ?? 1)

const READER = `Basic ${Buffer.from('reader:reads and no more').toString('base64')}`
const agent = new Agent({ keepAlive: true })
const TAGS = ['prod', 'v1']
const LAYERS = ['a', 'b', 'c', 'd'].map(text => Buffer.from(`layer ${text}`))
const THROTTLED = ['PutImage', 'BatchGetImage', 'BatchCheckLayerAvailability', 'InitiateLayerUpload'] as const

/** A mirror in front of one stand-in, and a twin of that to which everything happens without a mirror. */
interface World {
  readonly behind: Ecr
  readonly straight: Ecr
  mirror: MirrorUnderTest
  readonly restart: () => Promise<void>
}

/** What happened, for who looks into a failure. */
type History = string[]

async function world(t: Test): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'model-'))
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  const knobs = { loopbackHost: true }
  const [behind, straight] = [await startEcr({ knobs }), await startEcr({ knobs })]
  t.teardown(() => Promise.all([behind.close(), straight.close()]))
  const start = (): Promise<MirrorUnderTest> =>
    mirrorOf(t, behind, {
      logLevel: 'silent',
      users: `${USER.name}:${USER.password},reader:reads and no more`,
      settings: {
        policy: [
          { principals: ['ci'], actions: ['pull', 'push', 'delete'] },
          { principals: ['reader'], actions: ['pull'] },
        ],
        cache: {
          directory,
          scrub: { every: 'never' },
          tags: { ttl: '1h', staleFor: '24h', immutable: ['v*'] },
          membership: { ttl: '1h', staleFor: '24h' },
        },
      },
    })
  const made: World = {
    behind,
    straight,
    mirror: await start(),
    async restart() {
      await made.mirror.app.close()
      made.mirror = await start()
    },
  }
  return made
}

/** Images that share layers, and an index of two of them. */
function someImages({ below, pick }: Dice): LocalImage[] {
  const image = (label: string): LocalImage =>
    localImage(
      label,
      LAYERS.filter((_, index) => (below(14) + 1) & (1 << index)),
      pick(['oci', 'docker']),
    )
  const images = ['one', 'two', 'three'].map(image)
  return [...images, localIndex(images.slice(0, 2), pick(['oci', 'docker']))]
}

/** One history: pushes, pulls and deletions through the mirror, and what happens behind its back. */
async function sequence(world: World, seed: number, history: History): Promise<void> {
  const roll = dice(seed)
  const repository = `team/s${seed}`
  const images = someImages(roll)
  const both = [world.behind, world.straight]
  const everywhere = (what: string, act: (ecr: Ecr) => void): void => {
    history.push(what)
    for (const ecr of both) act(ecr)
  }
  const expireAll = (ecr: Ecr): void => {
    // An index goes before its images, which it keeps.
    for (const { digest } of [...images].reverse())
      if (ecr.manifest(repository, digest)) ecr.expire(repository, digest)
  }
  const push = async (): Promise<void> => {
    const [client, image, tag] = [roll.pick(Object.keys(PUSH_CLIENTS)), roll.pick(images), roll.pick(TAGS)]
    const throttled = roll.onceIn(12) ? roll.pick(THROTTLED) : undefined
    if (throttled) for (const { knobs } of both) knobs.throttle[throttled] = { next: 1 + roll.below(4) }
    history.push(`${client} pushes ${image.digest} as ${tag}${throttled ? `, ${throttled} throttled` : ''}`)
    await pushBoth(world, { client, image, tag, repository }, history)
    for (const { knobs } of both) knobs.throttle = {}
  }
  const steps: readonly (() => Promise<void> | void)[] = [
    push,
    push,
    push,
    () => pull(world, repository, roll, history),
    () => pull(world, repository, roll, history),
    () => remove(world, repository, roll.pick(TAGS), history),
    () => everywhere('the repository is created anew', ecr => ecr.recreateRepository(repository)),
    () => everywhere('a lifecycle policy takes all images', expireAll),
    () => everywhere('loose layers go', ecr => ecr.collectLayers(repository)),
    () =>
      everywhere('a tag is moved', ecr => {
        const [from, to] = TAGS
        if (ecr.manifest(repository, from!)) ecr.moveTag(repository, to!, from!)
      }),
    () =>
      everywhere('an image is archived', ecr => {
        if (ecr.manifest(repository, 'prod')) ecr.archive(repository, 'prod')
      }),
  ]
  for (const ecr of both) ecr.createRepository(repository)
  await push()
  for (let count = 2 + roll.below(5); count > 0; count--) {
    if (roll.onceIn(40)) {
      history.push('the mirror restarts')
      await world.restart()
    }
    await roll.pick(steps)()
  }
  await push()
}

interface Pushing {
  readonly client: string
  readonly image: LocalImage
  readonly tag: string
  readonly repository: string
}

/**
 * The same push through the mirror and straight. Throws where it reported success and the registry does not hold
 * exactly that, and where it failed though straight it succeeds.
 */
async function pushBoth(
  { behind, straight, mirror }: World,
  { client, image, tag, repository }: Pushing,
  history: History,
): Promise<void> {
  const outcome = async (to: PushedTo): Promise<PushFailed | undefined> => {
    try {
      await PUSH_CLIENTS[client]!(to, image, tag)
      return undefined
    } catch (error) {
      if (error instanceof PushFailed) return error
      throw error
    }
  }
  const token = `Basic ${straight.token().authorizationToken}`
  const alone = await outcome({ url: straight.url, authorization: token, repository })
  const mirrored = await outcome({ url: mirror.url, authorization, repository })
  history.push(`  straight: ${alone?.message ?? 'done'}; mirrored: ${mirrored?.message ?? 'done'}`)
  if (mirrored === undefined) await holdsExactly(behind, repository, tag, image)
  else if (alone === undefined) throw new Error('It failed, and straight it succeeds.')
  // The one that did less catches up, so that the two go on alike.
  if (alone !== undefined || mirrored !== undefined) {
    for (const { knobs } of [behind, straight]) knobs.throttle = {}
    if ((await outcome({ url: straight.url, authorization: token, repository })) !== undefined)
      throw new Error('Straight it fails though nothing is throttled.')
    if ((await outcome({ url: mirror.url, authorization, repository })) !== undefined)
      throw new Error('A second try fails though nothing is throttled.')
    await holdsExactly(behind, repository, tag, image)
  }
}

async function holdsExactly(
  ecr: Ecr,
  repository: string,
  reference: string,
  image: LocalImage,
): Promise<void> {
  if (!ecr.manifest(repository, reference)?.bytes.equals(image.bytes))
    throw new Error(`${reference} is not what was pushed.`)
  for (const child of image.children) await holdsExactly(ecr, repository, child.digest, child)
  for (const blob of image.blobs) {
    const bytes = await ecr.blob(repository, digestOf(blob))?.bytes()
    if (!bytes?.equals(blob)) throw new Error(`The blob ${digestOf(blob)} is not there.`)
  }
}

/** As clients pull: a HEAD, and all that is found. Whatever comes is kept, and is what it should be. */
async function pull({ mirror }: World, repository: string, roll: Dice, history: History): Promise<void> {
  const [who, tag] = [roll.pick([authorization, READER]), roll.pick(TAGS)]
  history.push(`${who === READER ? 'a reader' : 'a pusher'} pulls ${tag}`)
  const ask = async (path: string, method = 'GET'): Promise<Buffer | undefined> => {
    const headers = { authorization: who, accept: '*/*' }
    const url = `${mirror.url}/v2/${repository}/${path}`
    const { status, bytes, complete } = await plainly(url, { method, headers, agent })
    if (method === 'GET' && !complete) throw new Error(`${path} broke off.`)
    return status === 200 ? bytes : undefined
  }
  const all = async (reference: string): Promise<void> => {
    await ask(`manifests/${reference}`, 'HEAD')
    const bytes = await ask(`manifests/${reference}`)
    if (!bytes) return
    const {
      config,
      layers = [],
      manifests = [],
    } = JSON.parse(bytes.toString()) as {
      config?: { digest: string }
      layers?: { digest: string }[]
      manifests?: { digest: string }[]
    }
    for (const { digest } of manifests) await all(digest)
    for (const { digest } of [...(config ? [config] : []), ...layers]) {
      await ask(`blobs/${digest}`, 'HEAD')
      const blob = await ask(`blobs/${digest}`)
      if (blob && digestOf(blob) !== digest) throw new Error(`${digest} has other bytes.`)
    }
  }
  await all(tag)
}

async function remove(
  { mirror, straight }: World,
  repository: string,
  tag: string,
  history: History,
): Promise<void> {
  history.push(`${tag} is deleted through the mirror`)
  await mirror.fetch(`/v2/${repository}/manifests/${tag}`, { method: 'DELETE' })
  await fetch(`${straight.url}/v2/${repository}/manifests/${tag}`, {
    method: 'DELETE',
    headers: { authorization: `Basic ${straight.token().authorizationToken}` },
  })
}

for (let first = 0; first < SEQUENCES; first += BATCH) {
  const seeds = Array.from({ length: Math.min(BATCH, SEQUENCES - first) }, (_, at) => FIRST_SEED + first + at)
  t.test(`pushes through a mirror end as they do straight, seeds ${seeds[0]} to ${seeds.at(-1)}`, async t => {
    const made = await world(t)
    const failures: string[] = []
    for (const seed of seeds) {
      const history: History = []
      await sequence(made, seed, history).catch((error: unknown) => {
        failures.push([`seed ${seed}: ${String(error)}`, ...history].join('\n'))
      })
    }
    t.same(failures, [], `none of ${seeds.length} histories`)
  })
}
