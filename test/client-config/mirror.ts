import type { ClientFile, MirrorForClients, RegistryName } from '../../src/client-config/client.js'

export const ONE: RegistryName = {
  name: '111111111111.dkr.ecr.us-east-1.amazonaws.com',
  upstream: 'one',
  isHost: true,
  isDefault: true,
  isOpen: false,
}
export const OTHER: RegistryName = {
  name: '222222222222.dkr.ecr.eu-west-1.amazonaws.com',
  upstream: 'other',
  isHost: true,
  isDefault: false,
  isOpen: false,
}
export const HUB: RegistryName = {
  name: 'docker.io',
  upstream: 'hub',
  isHost: false,
  isDefault: false,
  isOpen: false,
}

/** `ci:secret` as Basic has it. */
export const BASIC = 'Y2k6c2VjcmV0'

/** A mirror over https, with an authority of its own, in front of two registries and Docker Hub. */
export function mirror(more: Partial<MirrorForClients> = {}): MirrorForClients {
  return {
    url: 'https://mirror.internal',
    user: 'ci',
    password: 'secret',
    hasUsers: true,
    registries: [ONE, OTHER, HUB],
    authorityFor: name => `PEM for ${name}\n`,
    ...more,
  }
}

export const PLAIN: Partial<MirrorForClients> = {
  url: 'http://mirror.internal:5000',
  authorityFor: () => undefined,
}

/** The content of the file at a path; undefined when there is none. */
export function contentAt(files: readonly ClientFile[], path: string): string | undefined {
  return files.find(file => file.path === path)?.content
}

export function paths(files: readonly ClientFile[]): string[] {
  return files.map(({ path }) => path)
}
