import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startContainerd } from './containerd.js'
import { startDaemon } from './daemon.js'
import type { Machine } from './machine.js'
import type { ClientOptions } from './run-client.js'

/** The command line of Debian's docker.io, which needs no plugin to build with dockerd's own BuildKit. */
export const DOCKER = '/usr/bin/docker'

/** Starts a dockerd that keeps to `directory` and leaves the network alone; returns what the CLI needs for it. */
export async function startDockerd(t: Test, directory: string): Promise<ClientOptions> {
  const here = { command: (...command: string[]): [string, ...string[]] => ['env', ...command], env: {} }
  const DOCKER_HOST = await startDockerdOn(t, here, directory)
  const DOCKER_CONFIG = join(directory, 'docker-config')
  await mkdir(DOCKER_CONFIG)
  return { env: { DOCKER_HOST, DOCKER_CONFIG, DOCKER_BUILDKIT: '0' }, seconds: 120 }
}

/** Starts a dockerd on a machine, with what it stores in `directory`; gives where its command line finds it. */
export async function startDockerdOn(
  t: Test,
  machine: Pick<Machine, 'command' | 'env'>,
  directory: string,
): Promise<string> {
  const containerd = await startContainerd(t, join(directory, 'containerd'))
  const socket = join(directory, 'docker.sock')
  await startDaemon(
    t,
    machine.command(
      ...['dockerd', '--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec')],
      ...['--pidfile', join(directory, 'docker.pid'), '--host', `unix://${socket}`],
      ...['--containerd', containerd, '--storage-driver', 'vfs'],
      ...['--bridge', 'none', '--iptables=false', '--ip6tables=false'],
    ),
    { env: machine.env, ready: output => output.includes('API listen on') },
  )
  return `unix://${socket}`
}
