import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import { startEcr } from '../../test/ecr/ecr.js'
import { reachOf } from '../../test/ecr/reach.js'

/** From where this lies once it is compiled, in dist/bench/bench/logins. */
const MAIN = fileURLToPath(new URL('../../../main.js', import.meta.url))

/** The mirror as it is installed, in a process of its own, in front of a stand-in that is in this one. */
export interface Stage {
  readonly url: string
  /** A path that the mirror answers from its cache. */
  readonly cachedPath: string
  close(): Promise<void>
}

/** `users` by name, with their passwords and the cost of their bcrypt hashes. */
export async function startStage(
  users: readonly { readonly name: string; readonly password: string; readonly cost: number }[],
): Promise<Stage> {
  const ecr = await startEcr()
  const image = await ecr.putImage('team/app', '1.0')
  const directory = await mkdtemp(join(tmpdir(), 'ecr-mirror-bench-'))
  const lines = users.map(async ({ name, password, cost }) => `${name}:${await hashBcrypt(password, cost)}\n`)
  await writeFile(join(directory, 'users'), (await Promise.all(lines)).join(''))
  await writeFile(
    join(directory, 'mirror.json'),
    JSON.stringify({
      listen: '127.0.0.1:0',
      operations: { listen: '127.0.0.1:0' },
      log: { level: 'info', format: 'json' },
      users: { htpasswd: 'users' },
      cache: { directory: join(directory, 'cache'), tags: { ttl: '1h' } },
      upstreams: [
        {
          name: 'main',
          host: ecr.host,
          ...reachOf(ecr),
        },
      ],
    }),
  )
  const mirror = spawn(process.execPath, [MAIN, 'serve', '--config', join(directory, 'mirror.json')], {
    env: { PATH: process.env['PATH'], AWS_ACCESS_KEY_ID: 'AKIDSTANDIN', AWS_SECRET_ACCESS_KEY: 'any' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    mirror.once('exit', () => reject(new Error('The mirror did not start.')))
    createInterface(mirror.stdout).on('line', line => {
      const [, found] = /"listen":\["(http:[^"]+)"\]/.exec(line) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  return {
    url,
    cachedPath: `/v2/team/app/manifests/${image.digest}`,
    async close() {
      mirror.kill()
      await once(mirror, 'exit')
      await ecr.close()
      await rm(directory, { recursive: true })
    },
  }
}

/** A request as a client sends it. */
export function request(path: string, user: string, password: string): string {
  const credentials = Buffer.from(`${user}:${password}`).toString('base64')
  return `GET ${path} HTTP/1.1\r\nHost: mirror.example\r\nAuthorization: Basic ${credentials}\r\n\r\n`
}
