import { Agent } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { digestOf } from '../../support/pushing.js'
import { ask } from '../../support/requests.js'
import { authorization } from '../../support/users.js'

export interface PullLoad {
  /** Pulls that have ended so far. */
  readonly ended: number
  /** What went wrong with each that failed. */
  readonly failures: readonly string[]
  /** Begins no more, and resolves when the last has ended. */
  stop(): Promise<void>
}

/** How often, in milliseconds, pulls are begun that are due. */
const TICK = 10

/**
 * Pulls images, so many a second and however long each takes: manifest, configuration and layers, all of them hashed. In
 * turn from each URL, on new connections and on some that are kept, and nothing is tried twice.
 */
export function startPullLoad(urls: readonly string[], tags: readonly string[], perSecond: number): PullLoad {
  const kept = new Agent({ keepAlive: true })
  const ways = urls.flatMap(url => [
    { name: `${url}, new connections`, url },
    { name: `${url}, kept connections`, url, agent: kept },
  ])
  const running = new Set<Promise<void>>()
  const failures: string[] = []
  let [begun, ended, stopped] = [0, 0, false]

  async function pull(index: number): Promise<void> {
    const { name, url, agent } = ways[index % ways.length]!
    const tag = tags[index % tags.length]!
    const get = async (path: string): Promise<Buffer> => {
      const headers = { authorization, accept: 'application/vnd.oci.image.manifest.v1+json' }
      const answer = await ask(`${url}/v2/team/app/${path}`, { headers, ...(agent && { agent }) })
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.bytes.toString()}`)
      if (!answer.complete) throw new Error(`${path}: cut`)
      return answer.bytes
    }
    try {
      const manifest = JSON.parse((await get(`manifests/${tag}`)).toString()) as {
        readonly config: { readonly digest: string }
        readonly layers: readonly { readonly digest: string }[]
      }
      for (const { digest } of [manifest.config, ...manifest.layers])
        if (digestOf(await get(`blobs/${digest}`)) !== digest) throw new Error(`${digest}: other bytes`)
    } catch (error) {
      failures.push(`${name}: ${String(error)}`)
    }
    ended++
  }

  async function begin(): Promise<void> {
    const start = performance.now()
    while (!stopped) {
      for (const due = ((performance.now() - start) / 1000) * perSecond; begun < due;) {
        const pulling = pull(begun++).finally(() => running.delete(pulling))
        running.add(pulling)
      }
      await pause(TICK)
    }
  }
  const beginning = begin()

  return {
    get ended() {
      return ended
    },
    failures,
    async stop() {
      stopped = true
      await beginning
      await Promise.all(running)
      kept.destroy()
    },
  }
}
