import { bounded } from '../check/bounded.js'
import { checkCache } from '../check/cache.js'
import { checkCertificates } from '../check/certificates.js'
import { checkClock } from '../check/clock.js'
import { checkConfig, type CheckedConfig } from '../check/config.js'
import type { Finding } from '../check/finding.js'
import { checkListeners } from '../check/listeners.js'
import { checkNames } from '../check/names.js'
import { checkPasswordsOnTheWay } from '../check/passwords-on-the-way.js'
import { asJson, asText, isWell } from '../check/report.js'
import { checkUpstreams } from '../check/upstreams.js'
import { checkUsers } from '../check/users.js'
import type { Flags } from '../config/flags.js'
import { parseImageName, type ImageName } from '../oci/image-name.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

export interface CheckFlags extends Flags {
  /** For machines. */
  readonly json?: boolean
  /** An image to try with, as clients name it. */
  readonly image?: string
}

/**
 * The doctor: looks at all that a mirror with this configuration needs, changes nothing, and passes beside a running
 * one. Throws a CommandError when something is wrong, after everything was said.
 */
export async function checkMirror(
  { json = false, image, ...flags }: CheckFlags,
  { env, stdout }: Surroundings,
): Promise<void> {
  const named = image === undefined ? undefined : imageNamed(image)
  const { findings, value } = await checkConfig({ env, flags })
  const all = [...findings, ...(value ? await checkAll(value, named) : [])]
  stdout.write(json ? asJson(all) : asText(all))
  if (isWell(all)) return
  const { length } = all.filter(({ result }) => result === 'failed')
  throw new CommandError(`${length} of ${all.length} checks failed`, EXIT.failed)
}

/** All checks at once, told in this order whichever ends first. */
async function checkAll({ config, nobody }: CheckedConfig, image: ImageName | undefined): Promise<Finding[]> {
  const alone = (name: string, check: (signal: AbortSignal) => Promise<readonly Finding[]>) =>
    bounded(name, check, finding => [finding])
  const [users, upstreams, cache, certificates, listeners] = await Promise.all([
    alone('users', () => checkUsers(config, nobody)),
    checkUpstreams(config, image),
    alone('cache', () => checkCache(config)),
    alone('certificates', () => checkCertificates(config)),
    alone('listen', signal => checkListeners(config, signal)),
  ])
  return [
    ...users,
    ...checkNames(config),
    checkPasswordsOnTheWay(config),
    ...upstreams.findings,
    checkClock(upstreams.clocks),
    ...cache,
    ...certificates,
    ...listeners,
  ]
}

function imageNamed(text: string): ImageName {
  const image = parseImageName(text)
  if (image) return image
  throw new CommandError(`${JSON.stringify(text)} is no image; expected one such as team/app:1.0`, EXIT.usage)
}
