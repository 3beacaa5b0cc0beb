import { createApp } from '../../src/app.js'
import { loadConfig } from '../../src/config/load.js'
import type { Config } from '../../src/config/schema.js'
import { createLog } from '../../src/operations/log.js'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { tarOf } from '../ecr/seed.js'

export const USER = { name: 'demo', password: 'demo' }
export const REPOSITORY = 'team/hello'
export const TAG = '1.0'

const MIB = 1024 * 1024

/** A stand-in for ECR with an image in it, and the mirror in front of it. */
export interface Stage {
  readonly ecr: Ecr
  /** Where clients find the mirror. */
  readonly url: string
  readonly operationsUrl: string
  /** Ends the slowness that lets a pull be watched, and logs requests from now on. */
  quicken(): void
  close(): Promise<void>
}

/** The port that registries usually have, and for when it is taken, any that is free. */
const PORTS = [5000, 0]

export async function startStage(output: NodeJS.WriteStream): Promise<Stage> {
  standAlone(process.env)
  const ecr = await startEcr({
    knobs: { createOnPush: [''], s3: { slow: 12 * MIB } },
  })
  try {
    await ecr.putImage(REPOSITORY, TAG, {
      layers: [layer('hello.txt', 0.1), layer('small', 3), layer('large', 24)],
    })
    const log = createLog({ level: 'warn', format: output.isTTY ? 'pretty' : 'json', destination: output })
    const app = await firstThatListens(PORTS, async port => createApp(await configOf(ecr, port), { log }))
    const [url = ''] = app.urls
    return {
      ecr,
      url,
      operationsUrl: app.operationsUrl,
      quicken() {
        ecr.knobs.s3.slow = undefined
        log.level = 'info'
      },
      async close() {
        await app.close(AbortSignal.timeout(1000))
        await ecr.close()
      },
    }
  } catch (error) {
    await ecr.close()
    throw error
  }
}

async function configOf(ecr: Ecr, port: number): Promise<Config> {
  const upstream = {
    name: 'main',
    host: ecr.host,
    ...reachOf(ecr),
  }
  const { config } = await loadConfig({
    env: {
      ECR_MIRROR_LISTEN: `127.0.0.1:${port}`,
      ECR_MIRROR_OPERATIONS_LISTEN: '127.0.0.1:0',
      ECR_MIRROR_USERS: `${USER.name}:${USER.password}`,
      ECR_MIRROR_UPSTREAMS: JSON.stringify([upstream]),
    },
    flags: {},
    // What is configured on this machine is not this demonstration's.
    defaultFile: '',
  })
  return config
}

async function firstThatListens<T>(
  ports: readonly number[],
  start: (port: number) => Promise<T>,
): Promise<T> {
  const [port = 0, ...others] = ports
  try {
    return await start(port)
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (!taken || others.length === 0) throw error
    return firstThatListens(others, start)
  }
}

/** Takes away what could lead the AWS SDK to a real account, or connections to a proxy. */
function standAlone(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) {
    if (name.startsWith('AWS_') || /^https?_proxy$/i.test(name)) Reflect.deleteProperty(env, name)
  }
  env['AWS_ACCESS_KEY_ID'] = 'AKIDSTANDIN'
  env['AWS_SECRET_ACCESS_KEY'] = 'secret-of-the-stand-in'
}

/** A tar archive of one file with so many MiB of text. */
function layer(name: string, size: number): Buffer {
  const line = `${name}: a layer of the image ${REPOSITORY}:${TAG}, which a stand-in for Amazon ECR made up.\n`
  return tarOf(name, line.repeat(Math.ceil((size * MIB) / line.length)))
}
