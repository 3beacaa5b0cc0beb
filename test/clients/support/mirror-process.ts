import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { USER, usersFile } from '../../support/users.js'
import { startDaemon } from './daemon.js'
import type { FarSide } from './far-side.js'
import { scratch } from './scratch.js'

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))

export { USER }

/** The mirror as it is installed, in a process of its own. */
export interface MirrorProcess {
  readonly url: string
  readonly pid: number
  readonly configFile: string
  /** The exit code, when it has ended; null when a signal ended it. */
  readonly ended: Promise<number | null>
  /** The most memory it has had so far, in bytes of resident set; Linux. */
  peakMemory(): Promise<number>
  /** All that it has logged. */
  output(): string
  /** Lines of its log at level error or above. */
  errors(): string[]
}

const LISTENING = /"listen":\["(https?:\/\/[^"]+)"\]/

/** Starts the built mirror in front of a far side, which may be reached at another URL, with a cache or without. */
export async function startMirrorProcess(
  t: Test,
  farSide: Pick<FarSide, 'url' | 'ecr'>,
  {
    endpoint = farSide.url,
    cached = false,
    cacheDirectory,
    settings = {},
    env = {},
  }: {
    endpoint?: string
    cached?: boolean
    cacheDirectory?: string
    /** Merged over the top of the configuration file. */
    settings?: Record<string, unknown>
    /** Besides the credentials for the stand-in. */
    env?: Record<string, string>
  } = {},
): Promise<MirrorProcess> {
  await access(MAIN).catch(() => {
    throw new Error('The mirror is not built: npm run build')
  })
  const directory = await scratch(t)
  const config = join(directory, 'mirror.json')
  const { ecr } = farSide
  await writeFile(join(directory, 'users'), await usersFile())
  await writeFile(
    config,
    JSON.stringify({
      listen: '127.0.0.1:0',
      operations: { listen: '127.0.0.1:0' },
      log: { level: 'info', format: 'json' },
      users: { htpasswd: 'users' },
      ...(cached && {
        cache: { directory: cacheDirectory ?? join(directory, 'cache'), tags: { ttl: '1h' } },
      }),
      upstreams: [
        { name: 'main', host: ecr.host, endpoint, apiEndpoint: ecr.url, redirectHosts: [ecr.s3Host] },
      ],
      ...settings,
      // No balancer is to notice that it ends, unless a test says so.
      limits: { drainDelay: '0s', ...(settings['limits'] as object | undefined) },
    }),
  )
  const daemon = await startDaemon(t, [process.execPath, MAIN, 'serve', '--config', config], {
    env: {
      AWS_ACCESS_KEY_ID: 'AKIDSTANDIN',
      AWS_SECRET_ACCESS_KEY: 'secret-of-the-stand-in',
      ...env,
    },
    ready: output => LISTENING.test(output),
  })
  return {
    url: LISTENING.exec(daemon.output())?.[1] ?? '',
    pid: daemon.pid,
    configFile: config,
    ended: daemon.ended,
    output: () => daemon.output(),
    peakMemory: async () => {
      const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8')
      return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
    },
    errors: () =>
      daemon
        .output()
        .split('\n')
        .filter(line => /"level":[5-9]\d/.test(line)),
  }
}
