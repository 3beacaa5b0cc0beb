import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startDaemon } from './daemon.js'

/** Starts a containerd with everything of its own in `directory`; returns the path of its socket. */
export async function startContainerd(t: Test, directory: string): Promise<string> {
  const [settings, socket] = [join(directory, 'config.toml'), join(directory, 'containerd.sock')]
  await mkdir(directory, { recursive: true })
  await writeFile(
    settings,
    `\
version = 2
root = "${join(directory, 'root')}"
state = "${join(directory, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
`,
  )
  await startDaemon(t, ['containerd', '-c', settings], {
    ready: output => output.includes('containerd successfully booted'),
  })
  return socket
}
