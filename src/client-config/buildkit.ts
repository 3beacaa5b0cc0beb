import { knownAuthorityFile } from './authority-file.js'
import type { Client } from './client.js'
import { dockerAuths } from './login.js'
import {
  hostNameOf,
  isPlainHttp,
  mirrorName,
  ownNameNotes,
  plainHttpNotes,
  sampleImage,
  sampleUnderItsName,
} from './mirror-name.js'
import { toml } from './toml.js'

const AUTHORITY = '/etc/buildkit/ecr-mirror-ca.crt'

/** buildkitd, by itself or as a builder of buildx. */
export const buildkit: Client = mirror => {
  const own = mirrorName(mirror)
  const authority = knownAuthorityFile(mirror, hostNameOf(mirror), AUTHORITY)
  const reach = {
    ...(isPlainHttp(mirror) && { http: true }),
    ...(authority.length > 0 && { ca: [AUTHORITY] }),
  }
  const [first] = mirror.registries
  const tables = [
    ...mirror.registries.map(({ name }) => ({ path: ['registry', name], entries: { mirrors: [own] } })),
    ...(Object.keys(reach).length > 0 ? [{ path: ['registry', own], entries: reach }] : []),
  ]
  return {
    files: [
      { path: '/etc/buildkit/buildkitd.toml', content: toml(tables, plainHttpNotes(mirror)), secret: false },
      ...authority,
      { path: '~/.docker/config.json', content: dockerAuths(mirror, [own]), secret: true },
    ],
    notes: [
      ...plainHttpNotes(mirror),
      'config.json belongs to whoever runs docker buildx or buildctl: buildkitd asks that client for passwords.',
      'BuildKit uses a mirror for pulls alone, and asks the registry itself for what the mirror refuses or does not answer. It cannot push by way of a mirror: push by the name of the mirror.',
      'The BuildKit inside dockerd does not read buildkitd.toml: see client-config docker.',
      ...ownNameNotes(mirror),
    ],
    test: [first ? sampleUnderItsName(first) : sampleImage(mirror)].map(
      image =>
        `echo 'FROM ${image}' > Dockerfile && buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=.`,
    ),
  }
}
