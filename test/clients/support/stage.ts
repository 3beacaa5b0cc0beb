import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { FarSide, StartFarSide } from './far-side.js'
import { startMirrorProcess, USER } from './mirror-process.js'
import { scratch } from './scratch.js'
import { startWire } from './wire.js'

/** A far side, a mirror in front of it, and watched wires between the two and on to the client. */
export interface Stage {
  /** For the client's own files. */
  readonly directory: string
  /** host:port, where the client finds the mirror. */
  readonly registry: string
  readonly farSide: FarSide
  /** Calls for a token so far. */
  tokenCalls(): number
  /** Kills the mirror's token, once that is so old that the mirror takes a refusal for its end. */
  expireToken(): Promise<void>
  /** Asserts that nothing went where it must not go. */
  assertNothingLeaked(t: Test): void
}

/** base64 of `AWS:`, with which every ECR token begins. */
const TOKEN_BEGINS = 'QVdTO'

/** The mirror renews a refused token when it is 5 s old. */
const RENEWABLE_AFTER_MS = 5_500

export async function setStage(t: Test, startFarSide: StartFarSide, cached: boolean): Promise<Stage> {
  const directory = await scratch(t)
  const farSide = await startFarSide(t)
  const { ecr } = farSide
  const credentials = Buffer.from(`${USER.name}:${USER.password}`).toString('base64')
  const upstream = await startWire(t, farSide.url, { toServer: [credentials, USER.password] })
  const mirror = await startMirrorProcess(t, farSide, { endpoint: upstream.url, cached })
  const downstream = await startWire(t, mirror.url, {
    toClient: [`//${ecr.host}`, ecr.s3Host, 'X-Amz-', TOKEN_BEGINS],
  })

  const tokenCalls = (): number => ecr.count({ action: 'GetAuthorizationToken' })
  return {
    directory,
    registry: new URL(downstream.url).host,
    farSide,
    tokenCalls,
    async expireToken() {
      const last = Math.max(...ecr.requests.filter(each => each.at === 'api').map(each => each.startedAt))
      await sleep(Math.max(0, last + RENEWABLE_AFTER_MS - Date.now()))
      await farSide.expireTokens()
    },
    assertNothingLeaked(t) {
      t.same(farSide.faults(), [], 'every request upstream is as the registry and S3 want it')
      t.same([...upstream.leaks], [], "the client's password stays in the mirror")
      t.same([...downstream.leaks], [], 'no address, token or signature of the far side reaches the client')
      t.same(mirror.errors(), [], 'the mirror has no errors to log')
    },
  }
}
