import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack, Figure } from '../attack.js'
import { BARS } from '../report.js'
import type { Stage } from '../stage.js'

const MiB = 1024 * 1024
/** How long ECR takes for what a blob needs. */
const ECR_MS = 30

/** Many connections ask in their own repository for a blob of somebody else's, which is not cached yet. */
export const strangersAsk: Attack = {
  name: 'S3',
  title: '300 and 600 connections that ask in their own repository for a blob that its owner pulls',
  seconds: 40,
  prepare: async stage => {
    await stage.farSide.tell('repository', { name: 'attacker/app' })
    await stage.farSide.tell('knobs', {
      latency: { GetDownloadUrlForLayer: ECR_MS, BatchCheckLayerAvailability: ECR_MS },
    })
    const quiet = Math.max(...(await pulls(stage, 'quiet', 0, new AbortController().signal)))
    return async signal => {
      const figures: Figure[] = [{ name: 'the worst pull of the owner, quiet', value: quiet, unit: 'ms' }]
      for (const connections of [300, 600].map(full => stage.sized({ full, quick: full / 100 })))
        figures.push({
          name: `the worst pull of the owner beside ${connections} connections`,
          value: Math.max(0, ...(await pulls(stage, String(connections), connections, signal))),
          unit: 'ms',
          atMost: BARS.worstMs,
        })
      return figures
    }
  },
}

/** How long the owner's pulls of three new blobs take, in milliseconds; Infinity where one failed. */
async function pulls(
  stage: Stage,
  seed: string,
  connections: number,
  signal: AbortSignal,
): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < 3 && !signal.aborted; round++) {
    const digest = await stage.newBlob('owner/app', `${seed}-${round}`, MiB)
    const over = new AbortController()
    const until = AbortSignal.any([over.signal, signal])
    setMaxListeners(0, until)
    const asking = Array.from({ length: connections }, async () => {
      while (!until.aborted)
        await stage.ask('GET', `/v2/attacker/app/blobs/${digest}`, { as: 'attacker' }, until)
    })
    if (connections > 0) await sleep(500)
    const { status, ms } = await stage.ownersPull(`/v2/owner/app/blobs/${digest}`)
    times.push(status === 200 ? ms : Infinity)
    over.abort()
    await Promise.all(asking)
  }
  return times
}
