import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HOST_OF_TEAM, TEAM, type World } from './world.js'

/**
 * What the documents reach besides AWS: `quay.io/team/tool:2`, for skopeo, and by ssh a machine that is this one. Programs
 * for that are put into a directory of the PATH; gives the environment that it takes.
 */
export async function reachElsewhere(
  { directory, ecr, machine, env }: World,
  programs: string,
): Promise<Record<string, string>> {
  await ecr.putImage('team/tool', '2', { ...TEAM, format: 'oci' })
  const rewritten = join(machine.etc, 'containers', 'registries.conf.d')
  await mkdir(rewritten, { recursive: true })
  await writeFile(
    join(rewritten, 'quay.conf'),
    `[[registry]]\nprefix = "quay.io"\nlocation = "${HOST_OF_TEAM}"\n`,
  )
  const logins = join(directory, 'auth.json')
  const auth = ecr.token(TEAM).authorizationToken
  await writeFile(logins, JSON.stringify({ auths: { [HOST_OF_TEAM]: { auth } } }))

  await mkdir(programs, { recursive: true })
  await writeFile(join(programs, 'ssh'), '#!/bin/sh\nshift\nexec "$@"\n', { mode: 0o755 })
  return { REGISTRY_AUTH_FILE: logins, SSL_CERT_FILE: env['NODE_EXTRA_CA_CERTS'] ?? '' }
}
