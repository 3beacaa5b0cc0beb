import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { hash } from '@node-rs/bcrypt'
import type { Test } from 'tap'

const BINARY = 'docker-registry'

/** Where CNCF distribution is installed (Debian's docker-registry); undefined when it is not. */
export function findDistribution(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map(directory => join(directory, BINARY))
    .find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Starts CNCF distribution on loopback, with files of its own and one user; resolves to its origin. */
export async function startDistribution(
  t: Test,
  binary: string,
  user: { name: string; password: string },
): Promise<string> {
  // Not t.testdir(): a test has only one, and the mirror's configuration is in it.
  const directory = await mkdtemp(join(tmpdir(), 'distribution-'))
  const configuration = join(directory, 'registry.yml')
  await writeFile(join(directory, 'htpasswd'), `${user.name}:${await hash(user.password, 4)}\n`)
  await writeFile(
    configuration,
    JSON.stringify({
      version: 0.1,
      log: { level: 'info', accesslog: { disabled: true } },
      storage: {
        filesystem: { rootdirectory: join(directory, 'storage') },
        delete: { enabled: true },
        maintenance: { uploadpurging: { enabled: false } },
      },
      http: { addr: '127.0.0.1:0', secret: 'of these tests' },
      auth: { htpasswd: { realm: 'distribution', path: join(directory, 'htpasswd') } },
    }),
  )
  // It panics while AWS_CA_BUNDLE is set.
  const env = { ...process.env, AWS_CA_BUNDLE: undefined }
  const registry = spawn(binary, ['serve', configuration], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(registry, 'exit')
  t.teardown(async () => {
    registry.kill('SIGKILL')
    await ended
    await rm(directory, { recursive: true, force: true })
  })
  const address = await addressIn(registry.stderr)
  // What it says from here on is not read, but must not pile up either.
  registry.stderr.resume()
  return `http://${address}`
}

async function addressIn(log: Readable): Promise<string> {
  const said: string[] = []
  for await (const line of createInterface(log)) {
    const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
    if (address !== undefined) return address
    said.push(line)
  }
  throw new Error(`distribution did not start: ${said.join('\n')}`)
}
