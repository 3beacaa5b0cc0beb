import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { localImage, localIndex, type LocalImage } from './images.js'
import { startLink, type Link } from './link.js'
import { authorization, mirrorOf, USER, type MirrorAnswer, type MirrorUnderTest } from './mirror.js'
import type { PushedTo } from './push-clients.js'
import { digestOf } from './pushing.js'

export const REPOSITORY = 'team/app'
export const OCI = 'application/vnd.oci.image.manifest.v1+json'
const READER = `Basic ${Buffer.from('reader:reads and no more').toString('base64')}`
const POLICY = [
  { principals: ['ci'], actions: ['pull', 'push', 'delete'] },
  { principals: ['reader'], actions: ['pull'] },
]

export interface Stage extends MirrorUnderTest {
  readonly link: Link
  readonly to: PushedTo
  /** A request of somebody who may pull and nothing else. */
  readonly read: MirrorUnderTest['fetch']
  /** The same cache, in a mirror that has just started. */
  readonly restart: () => Promise<Stage>
  /** Milliseconds since 1970, as the cache sees it. */
  readonly clock: { now: number }
}

interface StageOptions {
  readonly ecr?: Ecr
  readonly directory?: string
  readonly upstream?: object
}

/** What was learnt for reading is believed for an hour, and a day longer while the upstream is away. */
export async function startStage(t: Test, { ecr, directory, upstream }: StageOptions = {}): Promise<Stage> {
  const farSide = ecr ?? (await startEcr())
  if (!ecr) t.teardown(() => farSide.close())
  const place = directory ?? (await mkdtemp(join(tmpdir(), 'cache-')))
  if (!directory) t.teardown(() => rm(place, { recursive: true, force: true, maxRetries: 5 }))
  const link = await startLink(t, farSide.url)
  const clock = { now: Date.now() }
  const mirror = await mirrorOf(t, farSide, {
    users: `${USER.name}:${USER.password},reader:reads and no more`,
    now: () => clock.now,
    upstream: { endpoint: link.url, ...upstream },
    settings: {
      policy: POLICY,
      cache: {
        directory: place,
        tags: { ttl: '1h', staleFor: '24h', immutable: ['v*'] },
        membership: { ttl: '1h', staleFor: '24h' },
      },
    },
  })
  farSide.createRepository(REPOSITORY)
  return {
    ...mirror,
    link,
    clock,
    to: { url: mirror.url, authorization, repository: REPOSITORY },
    read: (path, init = {}) =>
      mirror.fetch(path, {
        ...init,
        headers: { ...Object.fromEntries(new Headers(init.headers)), authorization: READER },
      }),
    async restart() {
      await mirror.app.close()
      return startStage(t, { ecr: farSide, directory: place, ...(upstream && { upstream }) })
    },
  }
}

export const layers = [Buffer.from('layer one'), Buffer.from('layer two')]
export const image = localImage('an image', layers)
export const other = localImage('another image', [Buffer.from('layer three')])
export const index = localIndex([image, localImage('of another platform', [Buffer.from('layer four')])])

/** That the upstream has exactly what was pushed, under the tag. */
export async function holds(
  t: Test,
  ecr: Ecr,
  tag: string,
  pushed: LocalImage,
  repository = REPOSITORY,
): Promise<void> {
  t.ok(ecr.manifest(repository, tag)?.bytes.equals(pushed.bytes), `${tag} is what was pushed`)
  for (const child of pushed.children) await holds(t, ecr, child.digest, child, repository)
  for (const blob of pushed.blobs) {
    const bytes = await ecr.blob(repository, digestOf(blob))?.bytes()
    t.ok(bytes?.equals(blob), 'with its blobs')
  }
}

export const head = (
  fetch: MirrorUnderTest['fetch'],
  path: string,
  headers: Record<string, string> = {},
): Promise<MirrorAnswer> =>
  fetch(`/v2/${REPOSITORY}/${path}`, { method: 'HEAD', headers: { accept: `${OCI}, */*`, ...headers } })

/** All that a client pulls of an image, which leaves it in the cache. */
export async function pullAll(
  fetch: MirrorUnderTest['fetch'],
  tag: string,
  pulled: LocalImage,
  repository = REPOSITORY,
): Promise<void> {
  const get = async (path: string): Promise<void> => {
    const answer = await fetch(`/v2/${repository}/${path}`, { headers: { accept: '*/*' } })
    await answer.arrayBuffer()
  }
  await get(`manifests/${tag}`)
  for (const child of pulled.children) await pullAll(fetch, child.digest, child, repository)
  for (const blob of pulled.blobs) await get(`blobs/${digestOf(blob)}`)
}
