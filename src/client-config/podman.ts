import { authorityFile } from './authority-file.js'
import type { Client, ClientFile, MirrorForClients } from './client.js'
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

/** podman, buildah, skopeo and CRI-O, which share a library and so their files. */
export const podman: Client = mirror => {
  const [first] = mirror.registries
  return {
    files: [
      ...registriesFiles(mirror),
      {
        path: '~/.config/containers/auth.json',
        content: dockerAuths(mirror, [mirrorName(mirror)]),
        secret: true,
      },
    ],
    notes: [
      ...plainHttpNotes(mirror),
      'Pulls of those names go to the mirror. Pushes do not: registries.conf is about pulls alone, so push by the name of the mirror.',
      ...ownNameNotes(mirror),
    ],
    test: [
      ...(first ? [`podman pull ${sampleUnderItsName(first)}`] : []),
      `podman pull ${sampleImage(mirror)}`,
    ],
  }
}

/** Where images of each registry are really found, and the authority to trust there. */
export function registriesFiles(mirror: MirrorForClients): ClientFile[] {
  const own = mirrorName(mirror)
  const insecure = isPlainHttp(mirror) ? { insecure: true } : {}
  const tables = [
    ...mirror.registries.map(({ name, upstream }) => ({
      path: ['registry'],
      repeated: true,
      entries: { prefix: name, location: `${own}/${upstream}`, ...insecure },
    })),
    // Names of the mirror itself, for pushes.
    { path: ['registry'], repeated: true, entries: { location: own, ...insecure } },
  ]
  return [
    {
      path: '/etc/containers/registries.conf.d/50-ecr-mirror.conf',
      content: toml(tables, plainHttpNotes(mirror)),
      secret: false,
    },
    ...authorityFile(mirror, hostNameOf(mirror), `/etc/containers/certs.d/${own}/ca.crt`),
  ]
}
