import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startContainerd } from './containerd.js'
import { startDaemon } from './daemon.js'
import type { ClientOptions } from './run-client.js'

/** Starts a dockerd that keeps to `directory` and leaves the network alone; returns what the CLI needs for it. */
export async function startDockerd(t: Test, directory: string): Promise<ClientOptions> {
  const containerd = await startContainerd(t, join(directory, 'containerd'))
  const [socket, config] = [join(directory, 'docker.sock'), join(directory, 'docker-config')]
  await mkdir(config)
  await startDaemon(
    t,
    [
      'dockerd',
      ...['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec')],
      ...['--pidfile', join(directory, 'docker.pid'), '--host', `unix://${socket}`],
      ...['--containerd', containerd, '--storage-driver', 'vfs'],
      ...['--bridge', 'none', '--iptables=false', '--ip6tables=false'],
    ],
    { ready: output => output.includes('API listen on') },
  )
  const env = { DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: config, DOCKER_BUILDKIT: '0' }
  return { env, seconds: 120 }
}
