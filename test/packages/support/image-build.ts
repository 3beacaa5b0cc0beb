import { chmod, cp, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { succeed } from '../../clients/support/run-client.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** What the Dockerfile's stages run, besides Node.js and npm. */
const COMMANDS = [
  ...[
    'sh',
    'bash',
    'env',
    'ldd',
    'cp',
    'mkdir',
    'install',
    'rm',
    'chmod',
    'find',
    'touch',
    'grep',
    'sort',
    'uname',
  ],
]
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'

/** Copies what an image is built from, as a clean checkout has it, to an empty directory. */
export async function writeContext(directory: string): Promise<void> {
  const ignored = await readFile(join(root, '.dockerignore'), 'utf8')
  const copied = [...ignored.matchAll(/^!(.+)$/gm)].map(([, name = '']) => name)
  for (const name of ['Dockerfile', '.dockerignore', 'docker-compose.yml', ...copied]) {
    await mkdir(dirname(join(directory, name)), { recursive: true })
    await cp(await realpath(join(root, name)), join(directory, name), {
      recursive: true,
      filter: source => !source.endsWith('.js'),
    })
  }
}

/**
 * Writes what stands in for the base image where none can be fetched: this machine's Node.js and npm, and the commands that
 * the Dockerfile runs, with their libraries. Where npm's connections are looked into, it has this machine's authorities.
 */
export async function writeBase(directory: string): Promise<void> {
  const local = join(directory, 'usr/local')
  for (const folder of ['tmp', 'root', 'etc/ssl/certs'])
    await mkdir(join(directory, folder), { recursive: true })
  await chmod(join(directory, 'tmp'), 0o1777)
  const paths = (await succeed('bash', ['-c', `type -P ${COMMANDS.join(' ')}`])).trim().split('\n')
  const native = await succeed('find', ['-L', join(root, 'node_modules/@node-rs'), '-name', '*.node'])
  const programs = [process.execPath, ...paths, ...native.trim().split('\n')]
  // Of a script, such as ldd itself, it says that it is no program.
  const linked = await succeed('sh', ['-c', 'ldd "$@" 2>/dev/null || true', 'sh', ...programs])
  const libraries = [...linked.matchAll(/^\t(?:\S+ => )?(\/\S+) \(/gm)].map(([, path = '']) => path)
  await mkdir(join(directory, 'usr/bin'), { recursive: true })
  await symlink('usr/bin', join(directory, 'bin'))
  for (const path of paths) await cp(await realpath(path), join(directory, 'usr/bin', basename(path)))
  for (const path of new Set(libraries)) {
    await mkdir(join(directory, dirname(path)), { recursive: true })
    await cp(await realpath(path), join(directory, path))
  }
  await mkdir(join(local, 'bin'), { recursive: true })
  await cp(process.execPath, join(local, 'bin/node'))
  const npm = dirname(dirname(await realpath((await succeed('bash', ['-c', 'type -P npm'])).trim())))
  await cp(npm, join(local, 'lib/node_modules/npm'), { recursive: true })
  for (const name of ['npm', 'npx'])
    await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, 'bin', name))
  await cp(AUTHORITIES, join(directory, AUTHORITIES))
  await writeFile(join(directory, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
}

/** As ENV of the base. */
export const BASE_ENV = { NODE_EXTRA_CA_CERTS: AUTHORITIES } as const
