import { knownAuthorityFile } from './authority-file.js'
import type { Client, ClientFile, MirrorForClients, RegistryName } from './client.js'
import { basicAuthorization } from './login.js'
import {
  hostNameOf,
  mirrorName,
  ownNameNotes,
  plainHttpNotes,
  sampleImage,
  sampleUnderItsName,
} from './mirror-name.js'
import { toml, type TomlTable } from './toml.js'

const HOSTS_DIRECTORY = '/etc/containerd/certs.d'

/** containerd, by itself and under Kubernetes. */
export const containerd: Client = mirror => {
  const [first] = mirror.registries
  const pull = `ctr images pull --hosts-dir ${HOSTS_DIRECTORY}`
  return {
    files: containerdFiles(mirror),
    notes: containerdNotes(mirror),
    test: [...(first ? [`${pull} ${sampleUnderItsName(first)}`] : []), `${pull} ${sampleImage(mirror)}`],
  }
}

export function containerdFiles(mirror: MirrorForClients): ClientFile[] {
  return [
    {
      path: '/etc/containerd/config.toml',
      content: toml(
        [
          { path: [], entries: { version: 2 } },
          {
            path: ['plugins', 'io.containerd.grpc.v1.cri', 'registry'],
            entries: { config_path: HOSTS_DIRECTORY },
          },
        ],
        [
          'For Kubernetes; ctr and nerdctl take --hosts-dir. Put this into the file that is there already.',
          'In a file of version 3 (containerd 2) the table is [plugins."io.containerd.cri.v1.images".registry].',
        ],
      ),
      secret: false,
    },
    ...mirror.registries.flatMap(each => hostFiles(mirror, each.name, pushSegment(each))),
    ...hostFiles(mirror, mirrorName(mirror), ''),
  ]
}

export function containerdNotes(mirror: MirrorForClients): string[] {
  return [
    ...plainHttpNotes(mirror),
    'containerd 1.5 or newer. Nothing needs a restart but a change of config.toml.',
    'Nothing goes past the mirror. To have containerd ask a registry itself when the mirror is away, set server to https:// and its name.',
    ...ownNameNotes(mirror),
  ]
}

/**
 * What containerd does for images of one registry: all of it goes to the mirror, pulls with the registry's name in `ns`.
 * `server` is the mirror too, since it is asked when every host has failed, and must not be ECR.
 */
function hostFiles(mirror: MirrorForClients, name: string, pushes: string | undefined): ClientFile[] {
  const directory = `${HOSTS_DIRECTORY}/${name}`
  const authority = knownAuthorityFile(mirror, hostNameOf(mirror), `${directory}/ca.crt`)
  // A path is relative to the directory of hosts.toml.
  const ca = authority.length > 0 ? { ca: 'ca.crt' } : {}
  const header = { Authorization: basicAuthorization(mirror) }
  const pulls = ['pull', 'resolve']
  const host = (url: string, capabilities: readonly string[], more = {}): TomlTable[] => [
    { path: ['host', url], entries: { capabilities, ...more, ...ca } },
    { path: ['host', url, 'header'], entries: header },
  ]
  const content = toml(
    [
      { path: [], entries: { server: mirror.url, capabilities: pulls, ...ca } },
      { path: ['header'], entries: header },
      ...host(mirror.url, pushes === '' ? [...pulls, 'push'] : pulls),
      ...(pushes ? host(`${mirror.url}/v2/${pushes}`, ['push'], { override_path: true }) : []),
    ],
    plainHttpNotes(mirror),
  )
  return [{ path: `${directory}/hosts.toml`, content, secret: true }, ...authority]
}

/**
 * The path segment by which a push finds its upstream, since containerd says `ns` in pulls alone; none where it would
 * end elsewhere than its name says.
 */
function pushSegment({ isHost, isDefault, upstream }: RegistryName): string | undefined {
  if (!isHost) return undefined
  return isDefault ? '' : upstream
}
