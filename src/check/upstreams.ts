import type { Config } from '../config/schema.js'
import type { ImageName } from '../oci/image-name.js'
import { createThrottles } from '../upstream/throttle.js'
import { createTokenSources } from '../upstream/token-sources.js'
import { createUpstream, type Upstream } from '../upstream/upstream.js'
import { checkRedirect, nameOfRedirect } from './redirect.js'
import { bounded } from './bounded.js'
import type { ClockReading } from './clock.js'
import { credentialGroups, type CredentialGroup } from './credential-groups.js'
import { failed, skipped, type Finding } from './finding.js'
import { checkIdentity } from './identity.js'
import { checkToken } from './token.js'
import { checkUpstream, type CheckedUpstream } from './upstream.js'
import { wantedImage, type WantedImage } from './wanted-image.js'

export interface CheckedUpstreams {
  readonly findings: readonly Finding[]
  /** Other machines' clocks, as far as they answered. */
  readonly clocks: readonly ClockReading[]
}

/** Milliseconds; less than a mirror has, so that a check can still say what went wrong. */
const SOONER = { blobPatience: 2500, connections: { timeout: 4000, headersTimeout: 6000 } }

/**
 * Checks the far side: for each set of credentials and region the identity and the token, then for each upstream the
 * registry and a blob of it. `image` is one to try with, as clients name it.
 */
export async function checkUpstreams(
  config: Config,
  image: ImageName | undefined,
): Promise<CheckedUpstreams> {
  const deps = { tokens: createTokenSources(), throttles: createThrottles(), ...SOONER }
  const upstreams = config.upstreams.map(settings => createUpstream(settings, deps))
  const wanted = image && wantedImage(image, upstreams)
  try {
    const named = wanted && 'why' in wanted ? undefined : wanted
    const groups = await Promise.all(
      credentialGroups(upstreams).map(group => checkGroup(group, named, image !== undefined)),
    )
    return {
      findings: [
        ...(wanted && 'why' in wanted
          ? [failed('image', wanted.why, 'check the name given with --image')]
          : []),
        ...groups.flatMap(({ credentials }) => credentials),
        // In the order of the configuration.
        ...upstreams.flatMap(upstream => groups.flatMap(({ registries }) => registries.get(upstream) ?? [])),
      ],
      clocks: groups.flatMap(({ clocks }) => clocks),
    }
  } finally {
    await Promise.all(upstreams.map(upstream => upstream.close()))
  }
}

interface CheckedGroup {
  readonly credentials: readonly Finding[]
  readonly registries: ReadonlyMap<Upstream, readonly Finding[]>
  readonly clocks: readonly ClockReading[]
}

async function checkGroup(
  group: CredentialGroup,
  wanted: WantedImage | undefined,
  onlyWanted: boolean,
): Promise<CheckedGroup> {
  const withoutClock = (finding: Finding): CheckedUpstream => ({ finding, clock: undefined })
  const identified = bounded(
    `identity of ${group.names}`,
    signal => checkIdentity(group, signal),
    withoutClock,
  )
  const token = await bounded(
    `token of ${group.names}`,
    signal => checkToken(group, signal),
    finding => finding,
  )
  const registries = await Promise.all(
    group.upstreams.map(async upstream => {
      const { finding, clock } = await bounded(
        `upstream ${upstream.name}`,
        signal => checkUpstream(upstream, token.result === 'ok', signal),
        withoutClock,
      )
      const redirect = await redirectOf(upstream, finding, wanted, onlyWanted)
      return { upstream, clock, findings: [finding, redirect] }
    }),
  )
  const identity = await identified
  return {
    credentials: [identity.finding, token],
    registries: new Map(registries.map(({ upstream, findings }) => [upstream, findings])),
    clocks: [identity, ...registries].flatMap(({ clock }) => clock ?? []),
  }
}

async function redirectOf(
  upstream: Upstream,
  { result }: Finding,
  wanted: WantedImage | undefined,
  onlyWanted: boolean,
): Promise<Finding> {
  const name = nameOfRedirect(upstream)
  if (result !== 'ok') return skipped(name, 'the registry gives nothing, see above')
  if (onlyWanted && wanted?.upstream !== upstream)
    return skipped(name, 'the image given is not of this upstream')
  return bounded(
    name,
    signal => checkRedirect(upstream, wanted?.image, signal),
    finding => finding,
  )
}
