import { join } from 'node:path'
import type { Test } from 'tap'
import { startContainerd } from './containerd.js'
import { startDaemon } from './daemon.js'
import type { Machine } from './machine.js'

/** Starts a dockerd on a machine, with what it stores in `directory`; gives where its command line finds it. */
export async function startDockerdOn(t: Test, machine: Machine, directory: string): Promise<string> {
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
