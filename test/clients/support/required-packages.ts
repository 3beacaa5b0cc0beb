import { isInstalled } from '../../support/installed.js'

/** The Debian packages of the commands that these tests run. */
const PACKAGES = {
  skopeo: 'skopeo',
  podman: 'podman',
  buildah: 'buildah',
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  docker: 'docker.io',
  dockerd: 'docker.io',
  'docker-registry': 'docker-registry',
  busybox: 'busybox-static',
  ip: 'iproute2',
  openssl: 'openssl',
  haproxy: 'haproxy',
} as const

export type Command = keyof typeof PACKAGES

/** Options for a test that cannot do without some commands: where one is missing it is skipped, with what to install. */
export function needs(...commands: Command[]): { readonly skip?: string } {
  const missing = commands.filter(command => !isInstalled(command))
  if (missing.length === 0) return {}
  const packages = [...new Set(missing.map(command => PACKAGES[command]))]
  return { skip: `${missing.join(' and ')} missing here: apt-get install ${packages.join(' ')}` }
}

/** Options for a test that only root can run, for the mounts and namespaces of containers. */
export function needsRoot(): { readonly skip?: string } {
  return process.getuid?.() === 0 ? {} : { skip: 'only root can start this daemon' }
}
