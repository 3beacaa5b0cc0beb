import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { startContainerd } from '../../clients/support/containerd.js'
import { openTerminal } from './terminal.js'
import { HOST_OF_SHARED, HOST_OF_TEAM, SHARED, TEAM, type World } from './world.js'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** An image as containerd lists it after the pull, and the digest that the registry has for it. */
export interface PulledImage {
  readonly image: string
  readonly digest: string
  readonly listed: string
}

export interface TwoAccounts {
  /** What `check` printed. */
  readonly checked: string
  readonly pulled: readonly PulledImage[]
}

/** Told of each step when it has ended, with what was typed and printed. */
export type OnStep = (typed: string, printed: string) => void

/**
 * A newcomer's way with config/two-accounts.yaml as it is: users, check, serve, client-config, and a pull from each
 * account by its own name. Rejects at the first step that fails.
 */
export async function walkTwoAccounts(
  t: Test,
  world: World,
  onStep: OnStep = () => undefined,
): Promise<TwoAccounts> {
  const { directory, machine, ecr } = world
  const images = {
    [`${HOST_OF_TEAM}/team/app:1.0`]: await ecr.putImage('team/app', '1.0', TEAM),
    [`${HOST_OF_SHARED}/base/node:24`]: await ecr.putImage('base/node', '24', SHARED),
  }
  const home = join(directory, 'newcomer')
  await mkdir(home)
  await cp(join(ROOT, 'config', 'two-accounts.yaml'), join(home, 'mirror.yaml'))
  const containerd = await startContainerd(t, join(directory, 'containerd'))
  const terminal = openTerminal(t, {
    directory: home,
    env: {
      ...world.env,
      MIRROR: join(ROOT, 'dist', 'main.js'),
      CONTAINERD_ADDRESS: containerd,
      CONTAINERD_SNAPSHOTTER: 'native',
      PASSWORD: 'change-me',
      NODE_NO_WARNINGS: '1',
    },
    at: machine.command,
  })
  const define = 'ecr-mirror() { node "$MIRROR" "$@"; }\n'
  const run = async (typed: string): Promise<string> => {
    const { code, output } = await terminal.run(define + typed)
    if (code !== 0) throw new Error(`${typed} ended with ${String(code)}:\n${output}`)
    onStep(typed, output)
    return output
  }

  await run('printf %s "$PASSWORD" | ecr-mirror hash-password ci > users.htpasswd')
  const checked = await run('ecr-mirror check --config mirror.yaml')
  const serve = 'ecr-mirror serve --config mirror.yaml'
  const serving = await terminal.start(define + serve, /"listen":\["http/)
  onStep(serve, serving.output())
  await run(
    'printf %s "$PASSWORD" | ecr-mirror client-config containerd --config mirror.yaml --url http://localhost:5000 --user ci --directory files',
  )
  // A file that has been there, such as Debian's config.toml, stays: only Kubernetes needs what would be in it.
  await run('mkdir -p /etc/containerd && cp -r files/etc/containerd/certs.d /etc/containerd/')
  const pulled: PulledImage[] = []
  for (const [image, { digest }] of Object.entries(images)) {
    await run(`ctr images pull --hosts-dir /etc/containerd/certs.d ${image}`)
    pulled.push({ image, digest, listed: await run(`ctr images ls name==${image}`) })
  }
  return { checked, pulled }
}
