import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { UpstreamDeps } from '../../../src/upstream/upstream.js'
import { startEcr } from '../../ecr/ecr.js'
import { authorization, mirrorOf, type MirrorUnderTest } from '../../support/mirror.js'
import { ask, type PlainAnswer } from '../../support/requests.js'
import { scriptedUpstream, type ScriptedUpstream } from './scripted-upstream.js'

/** Mirrors before an upstream that says what it is told to say; their tokens come from the stand-in for ECR. */
export interface FarSide {
  readonly far: ScriptedUpstream
  /** Hands on what passes. */
  readonly streaming: MirrorUnderTest
  /** Keeps what passes. */
  readonly caching: MirrorUnderTest
  /** A request with the user's credentials, of which any part of an answer counts. */
  readonly get: (
    mirror: MirrorUnderTest,
    path: string,
    method?: string,
    headers?: Record<string, string>,
    body?: Buffer,
  ) => Promise<PlainAnswer>
}

export interface FarSideOptions {
  readonly deps?: Partial<UpstreamDeps>
  /** Merged over the cache's settings. */
  readonly cache?: object
  /** Merged over the upstream's settings. */
  readonly upstream?: (far: ScriptedUpstream) => object
  readonly now?: () => number
}

/** No quotas: what one attack is told of rates is not to slow down the next one. */
export const UNTHROTTLED: Partial<UpstreamDeps> = {
  throttles: { of: () => send => send, waiting: () => 0 },
}

/** A connection that is cut before its answer's headers have come is an answer that is not complete. */
const CUT: PlainAnswer = { status: 200, headers: {}, bytes: Buffer.alloc(0), complete: false }

/** Everything ends with the test. */
export async function startFarSide(t: Test, options: FarSideOptions = {}): Promise<FarSide> {
  const { deps = UNTHROTTLED, cache = {}, upstream, now } = options
  const far = await scriptedUpstream(t)
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const directory = await mkdtemp(join(tmpdir(), 'cache-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const common = {
    deps,
    upstream: { endpoint: far.url, redirectHosts: [far.host], ...upstream?.(far) },
    ...(now && { now }),
  }
  const streaming = await mirrorOf(t, ecr, common)
  const caching = await mirrorOf(t, ecr, { ...common, settings: { cache: { directory, ...cache } } })
  return {
    far,
    streaming,
    caching,
    get: (mirror, path, method = 'GET', headers = {}, body) =>
      ask(mirror.url + path, {
        method,
        headers: { authorization, ...headers },
        ...(body && { body }),
      }).catch(() => CUT),
  }
}
