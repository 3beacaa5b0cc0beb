import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { digestOf, startPushing, type Pushing } from '../../support/pushing.js'

export interface BusyMirror extends Pushing {
  /** Does a little of everything once more. */
  readonly work: () => Promise<void>
}

/** A mirror with all that can be configured, which has done a little of everything. */
export async function startBusyMirror(t: Test): Promise<BusyMirror> {
  const mirror = await startPushing(t, {
    cache: { scrub: { every: '1s', rate: '20MiB/s' }, tags: { ttl: '1ms' } },
    far: { knobs: { layerInaccessibleUntilTagged: false } },
  })
  const { ecr, fetch } = mirror
  const get = async (path: string, init?: RequestInit): Promise<Response> => {
    const answer = await fetch(path, init)
    await answer.arrayBuffer()
    return answer
  }
  const work = async (): Promise<void> => {
    const name = `n${randomBytes(4).toString('hex')}`
    const image = await ecr.putImage('team/app', name, { layers: [randomBytes(300_000)], label: name })
    // Tried again, unseen.
    ecr.knobs.serverError = { ListImages: 1 }
    const paths = [
      '/v2/',
      `/v2/team/app/manifests/${name}`,
      `/v2/team/app/manifests/${image.digest}`,
      ...[image.config, ...image.layers].map(({ digest }) => `/v2/team/app/blobs/${digest}`),
      '/v2/team/app/tags/list',
      '/v2/team/app/manifests/missing',
      '/v2/Not/Canonical',
    ]
    for (const path of paths) {
      await get(path)
      await get(path, { method: 'HEAD' })
      await get(path)
    }
    await get('/v2/', { headers: { authorization: `Basic ${Buffer.from('ci:wrong').toString('base64')}` } })
    await get('/v2/', { headers: { authorization: '' } })
    const bytes = randomBytes(1000)
    const upload = await mirror.begin()
    await mirror.step('PUT', `${upload}?digest=${digestOf(bytes)}`, bytes)
  }
  await work()
  return { ...mirror, work }
}
