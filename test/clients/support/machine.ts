import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startDaemon } from './daemon.js'

/** A machine as far as files and addresses go: this one, but with files of its own in /etc and in root's home. */
export interface Machine {
  /** A command as it is to be started to run there. */
  command(...command: readonly string[]): [file: string, ...args: string[]]
  readonly env: Record<string, string>
  /** What is in its /etc, which may still be changed. */
  readonly etc: string
}

export interface MachineNetwork {
  /** An address that only this machine has, to which it is connected alone. */
  readonly address: string
  readonly port: number
  /** The Unix socket where what connects to the address ends up. */
  readonly socket: string
}

/** Mounts the /etc that comes first over that of the machine, where only the command that follows sees it. */
const WITH_ETC = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c']
const MOUNT = 'mount --bind "$0" /etc && exec "$@"'

const RELAY = `
const net = require('node:net')
const [socket, address, port] = process.argv.slice(1)
net.createServer(near => {
  const far = net.connect(socket)
  for (const [one, two] of [[near, far], [far, near]]) {
    one.on('error', () => two.destroy())
    one.once('close', () => two.destroy())
    one.pipe(two)
  }
}).listen(Number(port), address, () => console.log('listening'))
`

/** Makes one of the files below `root`, where they have the paths that they are to have. */
export async function makeMachine(t: Test, root: string, network?: MachineNetwork): Promise<Machine> {
  const etc = join(root, 'whole-etc')
  await cp('/etc', etc, { recursive: true, verbatimSymlinks: true })
  await cp(join(root, 'etc'), etc, { recursive: true })
  await mkdir(join(root, 'root'), { recursive: true })
  const inNetwork = network ? await enterNetwork(t, network) : []
  return {
    // With env in front there is always a first word.
    command: (...command) => ['env', ...inNetwork, ...WITH_ETC, MOUNT, etc, ...command],
    env: { HOME: join(root, 'root') },
    etc,
  }
}

/** Makes a network that consists of one address, and gives what starts a command in it. */
async function enterNetwork(t: Test, { address, port, socket }: MachineNetwork): Promise<string[]> {
  const up = 'ip link set lo up && ip address add "$0/32" dev lo && exec "$@"'
  const relay = await startDaemon(
    t,
    [
      ...['unshare', '--net', 'sh', '-c', up, address],
      ...[process.execPath, '-e', RELAY, socket, address, String(port)],
    ],
    { ready: output => output.includes('listening') },
  )
  return ['nsenter', `--net=/proc/${relay.pid}/ns/net`]
}
