import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { plainEnvironment } from '../../test/clients/support/run-client.js'
import { reachOf } from '../../test/ecr/reach.js'
import { usersFile } from '../../test/support/users.js'
import { askWatch } from '../../test/stalls/ask-watch.js'
import { REPORT_SOCKET, type WatchReport } from '../../test/stalls/report.js'
import { startProcess } from '../servers/process.js'
import type { Reach } from './far-side-order.js'

/** Who logs in at the mirror. */
export const USERS = {
  bystander: 'the password of a bystander',
  attacker: 'the password of an attacker',
  owner: 'the password of an owner',
  operator: 'the password of an operator',
} as const

export type UserName = keyof typeof USERS

const POLICY = [
  { principals: ['bystander'], repositories: ['bystander/**'], actions: ['pull'] },
  { principals: ['attacker'], repositories: ['attacker/**'], actions: ['pull', 'push', 'delete'] },
  { principals: ['owner'], repositories: ['owner/**'], actions: ['pull', 'push'] },
  { principals: ['operator'], repositories: ['**'], actions: ['pull', 'status'] },
  { principals: ['anonymous'], repositories: ['public/**'], actions: ['pull'] },
]

/** The program as it is built. npm starts it in the root of the tree, and so do the tests. */
export const MAIN = join(process.cwd(), 'dist', 'main.js')
const LISTENING = /"listen":\["(http:[^"]+)"\]/
/** How long it may take to end after SIGTERM. */
const END_WITHIN_MS = 8_000

/** What an attack changes of the mirror's configuration. */
export interface MirrorSettings {
  readonly cache?: Readonly<Record<string, unknown>>
  readonly limits?: Readonly<Record<string, unknown>>
}

/** The mirror as it is installed, in a process of its own, whose event loop is watched. */
export interface Mirror {
  readonly url: string
  readonly operationsUrl: string
  readonly pid: number
  readonly configFile: string
  /** What its loop has been through; can be asked once. */
  watched(): Promise<WatchReport>
  /** Whether it ended when it was asked to, and need not be killed. */
  stop(): Promise<boolean>
}

export async function startMirror(
  farSide: Reach,
  directory: string,
  watch: string,
  { cache, limits }: MirrorSettings = {},
): Promise<Mirror> {
  const [configFile, users, socket] = [
    join(directory, 'mirror.json'),
    join(directory, 'users'),
    join(directory, 'watch'),
  ]
  const operations = `127.0.0.1:${await freePort()}`
  const logins = Object.entries(USERS).map(([name, password]) => `${name}:${password}`)
  await writeFile(users, await usersFile(logins.join(',')))
  await writeFile(
    configFile,
    JSON.stringify({
      listen: '127.0.0.1:0',
      operations: { listen: operations },
      log: { level: 'info', format: 'json' },
      users: { htpasswd: users },
      policy: POLICY,
      // What the bystander pulls needs nobody upstream: an attack is not to be blamed for a slow stand-in.
      cache: { directory: join(directory, 'cache'), tags: { ttl: '1h' }, ...cache },
      limits: { drainDelay: '0s', drainTimeout: '2s', ...limits },
      upstreams: [{ name: 'main', host: farSide.host, ...reachOf(farSide) }],
    }),
  )
  const command = [process.execPath, '--import', watch, MAIN, 'serve', '--config', configFile]
  const { output, pid, stop } = await startProcess(command, directory, text => LISTENING.test(text), {
    AWS_ACCESS_KEY_ID: 'AKIDSTANDIN',
    AWS_SECRET_ACCESS_KEY: 'secret-of-the-stand-in',
    [REPORT_SOCKET]: socket,
  })
  return {
    url: LISTENING.exec(await output())?.[1] ?? '',
    operationsUrl: `http://${operations}`,
    pid,
    configFile,
    watched: () => askWatch(socket),
    stop: () => stop(END_WITHIN_MS),
  }
}

/** A port that is free now: the mirror says in no line of its log which one it takes for its operations. */
async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** What the command line needs besides its arguments. */
export function commandEnvironment(): Record<string, string> {
  return plainEnvironment({
    AWS_ACCESS_KEY_ID: 'AKIDSTANDIN',
    AWS_SECRET_ACCESS_KEY: 'secret-of-the-stand-in',
  })
}
