import { isIP } from 'node:net'
import { authorityFile } from './authority-file.js'
import type { Client, ClientFile, MirrorForClients, RegistryName } from './client.js'
import { dockerAuths, json } from './login.js'
import {
  hostNameOf,
  isPlainHttp,
  mirrorName,
  nameAt,
  ownNameNotes,
  plainHttpNotes,
  sampleImage,
  sampleUnderItsName,
} from './mirror-name.js'

/** Stands for the mirror's address where only its name is known. */
export const ADDRESS_PLACEHOLDER = 'MIRROR_ADDRESS'

/** Names of Docker Hub that are not names of the mirror. */
const DOCKER_HUB = ['docker.io', 'index.docker.io', 'registry-1.docker.io']

/** dockerd and its command line. */
export const docker: Client = mirror => {
  const own = mirrorName(mirror)
  const hub = dockerHubMirror(mirror)
  const transparent = underEcrNames(mirror)
  return {
    files: [
      { path: '~/.docker/config.json', content: dockerAuths(mirror, [own]), secret: true },
      ...daemonFile(mirror, hub.url),
      ...authorityFile(mirror, hostNameOf(mirror), `/etc/docker/certs.d/${own}/ca.crt`),
      ...(hub.hostName === undefined
        ? []
        : authorityFile(mirror, hub.hostName, `/etc/docker/certs.d/${nameAt(mirror, hub.hostName)}/ca.crt`)),
      ...transparent.files,
    ],
    notes: [
      ...plainHttpNotes(mirror),
      ...ownNameNotes(mirror),
      'daemon.json belongs into what is there already; restart dockerd after a change of it.',
      ...hub.notes,
      ...transparent.notes,
    ],
    test: [`docker pull ${sampleImage(mirror)}`, ...transparent.test],
  }
}

function daemonFile(mirror: MirrorForClients, hubMirror: string | undefined): ClientFile[] {
  const settings = {
    ...(isPlainHttp(mirror) && { 'insecure-registries': [mirrorName(mirror)] }),
    ...(hubMirror !== undefined && { 'registry-mirrors': [hubMirror] }),
  }
  if (Object.keys(settings).length === 0) return []
  return [{ path: '/etc/docker/daemon.json', content: json(settings), secret: false }]
}

interface HubMirror {
  readonly url?: string
  /** Where it is another name than the mirror's own. */
  readonly hostName?: string
  readonly notes: readonly string[]
}

/**
 * Where dockerd finds images of Docker Hub. It neither logs in there nor names the registry it means, so that the
 * upstream must be open to those who do not log in, and be meant by the address alone.
 */
function dockerHubMirror(mirror: MirrorForClients): HubMirror {
  const hub = mirror.registries.find(({ name }) => name === 'docker.io')
  if (!hub) return { notes: [] }
  if (!hub.isOpen) {
    return {
      notes: [
        `dockerd cannot log in to a registry mirror: for registry-mirrors, ${hub.upstream} needs a grant to anonymous.`,
      ],
    }
  }
  const alias = mirror.registries.find(
    ({ upstream, isHost, name }) => upstream === hub.upstream && !isHost && !DOCKER_HUB.includes(name),
  )
  if (!alias) {
    if (hub.isDefault && !mirror.hasUsers) return { url: mirror.url, notes: [] }
    const why = hub.isDefault
      ? 'The mirror asks for a login under its own name, and dockerd has none for a registry mirror'
      : 'dockerd does not tell a registry mirror that it means Docker Hub'
    return {
      notes: [
        `${why}: for registry-mirrors, let ${hub.upstream} serve one more name, such as hub.mirror.internal, that resolves to the mirror.`,
      ],
    }
  }
  const hostName = alias.name.replace(/:\d+$/, '')
  const url = new URL(mirror.url)
  url.hostname = hostName
  return { url: url.origin, hostName, notes: [`${hostName} must resolve to the mirror.`] }
}

/**
 * The transparent way: image names stay as they are in ECR, and the names of its hosts lead to the mirror. The login
 * is in a directory of its own: where a name leads to ECR after all, Docker would hand ECR the password of the mirror.
 */
function underEcrNames(mirror: MirrorForClients): {
  readonly files: readonly ClientFile[]
  readonly notes: readonly string[]
  readonly test: readonly string[]
} {
  const hosts = mirror.registries.filter(({ isHost }) => isHost)
  const [first] = hosts
  if (!first) return { files: [], notes: [], test: [] }
  if (isPlainHttp(mirror) || new URL(mirror.url).port !== '') {
    return {
      files: [],
      notes: [
        'To keep ECR names in image names, Docker needs the mirror at https and port 443, with certificates for those names.',
      ],
      test: [],
    }
  }
  const names = hosts.map(({ name }) => name)
  const login = '~/.docker/ecr-names/config.json'
  return {
    files: [
      { path: '/etc/hosts', content: hostsLine(mirror, names), secret: false },
      ...hosts.flatMap(host => authorityOf(mirror, host)),
      { path: login, content: dockerAuths(mirror, [mirrorName(mirror), ...names]), secret: true },
    ],
    notes: [
      `To keep ECR names in image names: add the line to /etc/hosts (or to your DNS), give the mirror certificates for those names, and use DOCKER_CONFIG=~/.docker/ecr-names. Without that line Docker would show the password to ECR itself.`,
      ...(isIP(hostNameOf(mirror)) === 0
        ? [`${ADDRESS_PLACEHOLDER} stands for the address of ${hostNameOf(mirror)}.`]
        : []),
    ],
    test: [`DOCKER_CONFIG=~/.docker/ecr-names docker pull ${sampleUnderItsName(first)}`],
  }
}

function authorityOf(mirror: MirrorForClients, { name }: RegistryName): ClientFile[] {
  return authorityFile(mirror, name, `/etc/docker/certs.d/${name}/ca.crt`)
}

function hostsLine(mirror: MirrorForClients, names: readonly string[]): string {
  const hostName = hostNameOf(mirror).replace(/^\[|\]$/g, '')
  return `${isIP(hostName) === 0 ? ADDRESS_PLACEHOLDER : hostName} ${names.join(' ')}\n`
}
