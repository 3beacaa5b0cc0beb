import type { Attack } from '../attack.js'
import { hostileManifests, type HostileManifest } from '../hostile-manifests.js'
import { IMAGE, INDEX, LARGEST } from '../manifests.js'
import { pushBoth } from '../push-both.js'
import type { Stage } from '../stage.js'

const SEED = 14
const REPOSITORY = 'attacker/app'
const ACCEPTS = ['*/*', IMAGE, `${INDEX}, application/vnd.docker.distribution.manifest.list.v2+json;q=0.5`]

/** Every manifest that costs, by every way in which a client can have it looked at. */
export const hostileManifestsRun: Attack = {
  name: 'manifests',
  title: 'every hostile manifest: PUT, HEAD by several Accepts, GET by tag and digest, status page, images',
  seconds: 75,
  prepare: async stage => {
    await stage.farSide.tell('repository', { name: REPOSITORY })
    const size = stage.sized({ full: LARGEST, quick: 2_000 })
    return async signal => {
      let done = 0
      let undone: string | undefined
      for (const manifest of hostileManifests(SEED, size)) {
        await useUp(stage, manifest, signal)
        if (signal.aborted) {
          undone = manifest.name
          break
        }
        done++
      }
      const [images] = await Promise.all([stage.command(['images'], signal), lookAtStatus(stage, signal)])
      return [
        { name: 'hostile manifests that were done with', value: done, unit: '' },
        {
          name: `no time was left from ${undone ?? 'none'} on`,
          value: undone === undefined ? 0 : 1,
          unit: '',
          atMost: 0,
        },
        { name: 'listings of images that failed', value: Number(!images), unit: '', atMost: 0 },
      ]
    }
  },
}

async function useUp(stage: Stage, manifest: HostileManifest, signal: AbortSignal): Promise<void> {
  const { name, bytes, mediaType, digest } = manifest
  const path = (reference: string): string => `/v2/${REPOSITORY}/manifests/${reference}`
  const isThere = await pushBoth(stage, REPOSITORY, name, manifest, signal)
  // ECR takes no such thing, but who stands in its place may say anything.
  const answer = { status: 200, headers: { 'content-type': mediaType }, body: Buffer.from(bytes), times: 2 }
  if (!isThere) await stage.farSide.tell('knobs', { answer: { BatchGetImage: [answer] } })
  for (const accept of isThere ? ACCEPTS : [])
    await stage.ask('HEAD', path(name), { as: 'attacker', headers: { accept } }, signal)
  for (const reference of [name, digest])
    await stage.ask(
      'GET',
      path(reference),
      { as: 'attacker', headers: { accept: '*/*', 'cache-control': 'no-cache' } },
      signal,
    )
  await stage.ask('GET', path(digest), { as: 'operator', headers: { accept: '*/*' } }, signal)
  if (!isThere) await stage.farSide.tell('knobs', { answer: {} })
}

/** As often as a browser looks, until the list is there that the images are in. */
async function lookAtStatus(stage: Stage, signal: AbortSignal): Promise<void> {
  for (const path of ['/status', '/status/live', '/status', '/readyz', '/metrics'])
    await stage.ask('GET', stage.mirror.operationsUrl + path, { as: 'operator' }, signal)
}
