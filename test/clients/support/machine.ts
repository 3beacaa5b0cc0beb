import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startDaemon } from './daemon.js'

/** A machine as far as files and addresses go: this one, but with files of its own in /etc and in root's home. */
export interface Machine {
  /** A command as it is to be started to run there. */
  readonly command: (...command: readonly string[]) => [file: string, ...args: string[]]
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

export interface MachineOptions {
  /** What its network consists of, besides a loopback of its own; this machine's network when there is nothing. */
  readonly networks?: readonly MachineNetwork[]
  /** Directories besides /etc that are empty there at first, and its own. */
  readonly empty?: readonly string[]
}

/** Mounts directories over those of this machine, where only the command that follows sees it. */
const WITH_MOUNTS = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c']
const MOUNT = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" && shift 2 || exit; done; shift; exec "$@"'

const RELAY = `
const net = require('node:net')
const ways = process.argv.slice(1)
let pending = ways.length / 3
while (ways.length > 0) {
  const [socket, address, port] = ways.splice(0, 3)
  net.createServer(near => {
    const far = net.connect(socket)
    for (const [one, two] of [[near, far], [far, near]]) {
      one.on('error', () => two.destroy())
      one.once('close', () => two.destroy())
      one.pipe(two)
    }
  }).listen(Number(port), address, () => --pending === 0 && console.log('listening'))
}
`

/** Makes one of the files below `root`, where they have the paths that they are to have. */
export async function makeMachine(
  t: Test,
  root: string,
  { networks = [], empty = [] }: MachineOptions = {},
): Promise<Machine> {
  const etc = join(root, 'whole-etc')
  await cp('/etc', etc, { recursive: true, verbatimSymlinks: true })
  await cp(join(root, 'etc'), etc, { recursive: true })
  await mkdir(join(root, 'root'), { recursive: true })
  const mounts = [etc, '/etc']
  for (const directory of empty) {
    await mkdir(join(root, directory), { recursive: true })
    mounts.push(join(root, directory), directory)
  }
  const inNetwork = networks.length > 0 ? await enterNetwork(t, networks) : []
  return {
    // With env in front there is always a first word.
    command: (...command) => ['env', ...inNetwork, ...WITH_MOUNTS, MOUNT, 'sh', ...mounts, '--', ...command],
    env: { HOME: join(root, 'root') },
    etc,
  }
}

/** Makes a network that consists of some addresses, and gives what starts a command in it. */
async function enterNetwork(t: Test, networks: readonly MachineNetwork[]): Promise<string[]> {
  const up =
    'ip link set lo up; while [ "$1" != -- ]; do ip address add "$1/32" dev lo && shift || exit; done'
  const relay = await startDaemon(
    t,
    [
      ...['unshare', '--net', 'sh', '-c', `${up}; shift; exec "$@"`, 'sh'],
      ...[...new Set(networks.map(({ address }) => address)), '--', process.execPath, '-e', RELAY],
      ...networks.flatMap(({ address, port, socket }) => [socket, address, String(port)]),
    ],
    { ready: output => output.includes('listening') },
  )
  return ['nsenter', `--net=/proc/${relay.pid}/ns/net`]
}
