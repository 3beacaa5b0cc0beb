import type { MirrorForClients, RegistryName } from './client.js'

/** What stands for the rest of an image name in commands to try. */
const SOME_IMAGE = 'REPOSITORY:TAG'

export function isPlainHttp({ url }: MirrorForClients): boolean {
  return url.startsWith('http:')
}

export function hostNameOf({ url }: MirrorForClients): string {
  return new URL(url).hostname
}

/** The mirror at the beginning of an image name, `host` or `host:port`. */
export function mirrorName(mirror: MirrorForClients): string {
  return nameAt(mirror, hostNameOf(mirror))
}

/** The same under another host name. */
export function nameAt(mirror: MirrorForClients, hostName: string): string {
  const { port } = new URL(mirror.url)
  if (port !== '') return `${hostName}:${port}`
  // Without a dot or a port it would be the first part of a repository on Docker Hub.
  const isHost = hostName.includes('.') || hostName === 'localhost'
  return isHost ? hostName : `${hostName}:${isPlainHttp(mirror) ? 80 : 443}`
}

/** An image to try, by the mirror's own name. */
export function sampleImage(mirror: MirrorForClients): string {
  const { registries } = mirror
  const upstreams = new Set(registries.map(({ upstream }) => upstream))
  const [first] = upstreams
  const segment = first === undefined || registries.some(({ isDefault }) => isDefault) ? '' : `${first}/`
  return `${mirrorName(mirror)}/${segment}${SOME_IMAGE}`
}

/** An image to try, by a name that does not speak of the mirror. */
export function sampleUnderItsName(name: RegistryName): string {
  return `${name.name}/${SOME_IMAGE}`
}

/** Says, for each name of a registry, what it is by way of the mirror's own name. */
export function ownNameNotes(mirror: MirrorForClients): string[] {
  return mirror.registries.map(
    ({ name, upstream }) => `${name}/REPOSITORY is ${mirrorName(mirror)}/${upstream}/REPOSITORY here.`,
  )
}

export function plainHttpNotes(mirror: MirrorForClients): string[] {
  return isPlainHttp(mirror)
    ? [
        `${mirror.url} is plain HTTP: passwords and images travel in the clear, and whoever is on the way can read and change them. Use https beyond one machine.`,
      ]
    : []
}
