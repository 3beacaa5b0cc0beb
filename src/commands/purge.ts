import type { Flags } from '../config/flags.js'
import { loadConfig } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { namedScope } from '../named-scope.js'
import { parseDigest } from '../oci/digest.js'
import { parseImageName } from '../oci/image-name.js'
import { PurgeAnswer } from '../operations/control.js'
import type { PurgeTarget } from '../store/purge.js'
import { ociErrorIn } from '../upstream/dialect.js'
import { createUpstreamTable } from '../upstream/upstream-table.js'
import { inUnits } from './in-units.js'
import { reachOwner } from './owner.js'
import type { CreateApp } from './serve.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

/** Drops images or digests from the cache. Throws a CommandError when one is not there, after all were tried. */
export async function purgeImages(
  names: readonly string[],
  flags: Flags,
  surroundings: Surroundings,
  createApp: CreateApp,
): Promise<void> {
  const { env, stdout } = surroundings
  const { config } = await loadConfig({ env, flags, withoutUsers: true })
  const targets = names.map(name => ({ name, target: purgeTarget(name, config) }))
  const owner = await reachOwner(config, createApp, surroundings)
  let absent = 0
  try {
    for (const { name, target } of targets) {
      const answer = await owner.pool.request({
        path: '/purge',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(target),
      })
      const text = await answer.body.text()
      if (answer.statusCode !== 200) {
        const reason = ociErrorIn(text)?.message ?? "the mirror's log says why"
        throw new CommandError(`${name} could not be dropped: ${reason}`, EXIT.failed)
      }
      const { found, files, bytes } = PurgeAnswer.parse(JSON.parse(text))
      if (!found) absent++
      stdout.write(
        found ? `${name}: dropped, ${files} files, ${inUnits(bytes)}\n` : `${name}: not in the cache\n`,
      )
    }
  } finally {
    await owner.close()
  }
  if (absent > 0) throw new CommandError(`${absent} of ${names.length} were not in the cache`, EXIT.failed)
}

/** What a name means on this mirror. Throws a CommandError when it means nothing. */
export function purgeTarget(text: string, { upstreams }: Config): PurgeTarget {
  const digest = parseDigest(text)
  if (digest) return { digest }
  const image = parseImageName(text)
  if (!image)
    throw new CommandError(
      `${JSON.stringify(text)} is neither an image, such as team/app:1.0, nor a digest`,
      EXIT.usage,
    )
  const table = createUpstreamTable(upstreams.map(settings => ({ name: settings.name, settings })))
  const named = namedScope(table, image.name)
  if (!named) throw new CommandError(`${text}: none of the configured registries is meant`, EXIT.usage)
  return { scope: named.scope, ...image.reference }
}
