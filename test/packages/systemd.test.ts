import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { z } from 'zod'
import { loadConfig } from '../../src/config/load.js'
import { startDaemon } from '../clients/support/daemon.js'
import { runClient, succeed } from '../clients/support/run-client.js'
import { startEcr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { isInstalled } from '../support/installed.js'
import { authorization, usersFile } from '../support/users.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = `${root}deploy/systemd`
const unit = await readFile(`${folder}/ecr-mirror.service`, 'utf8')
const needs = (...commands: string[]) => {
  const missing = commands.filter(command => !isInstalled(command))
  return missing.length === 0
    ? {}
    : { skip: `${missing.join(' and ')} missing here: apt-get install systemd strace` }
}

/** All values that the unit gives for a setting. */
const settings = (name: string) =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value)
const setting = (name: string) => settings(name).join('\n')

/** The most that `systemd-analyze security` may find, of 10; the lower the better. */
const EXPOSURE_BAR = 1.5

t.test('systemd finds nothing wrong with the unit', needs('systemd-analyze'), async t => {
  // It looks for the programs too, and Node.js may be elsewhere here.
  const copy = join(t.testdir(), 'ecr-mirror.service')
  await writeFile(copy, unit.replaceAll('/usr/bin/node', process.execPath))
  const verified = await runClient('systemd-analyze', ['verify', '--man=no', copy])
  t.same(verified, { code: 0, stdout: '', output: '' })
  await writeFile(copy, unit.replace('NoNewPrivileges', 'NoNewPrivilege'))
  const misspelt = await runClient('systemd-analyze', ['verify', '--man=no', copy])
  t.match(misspelt.output, /Unknown key .*'NoNewPrivilege'/, 'as it would with a misspelt one')
})

t.test('what it is exposed to is below the bar', needs('systemd-analyze'), async t => {
  const args = ['security', '--offline=true', '--no-pager', `${folder}/ecr-mirror.service`]
  const said = await succeed('systemd-analyze', args)
  const [, exposure] = /Overall exposure level for ecr-mirror\.service: ([\d.]+)/.exec(said) ?? []
  t.ok(Number(exposure) <= EXPOSURE_BAR, `${exposure} of at most ${EXPOSURE_BAR}`)
  t.comment(`exposure ${exposure}`)
})

t.test('what it tells the mirror are settings, and it waits for longer than a drain', async t => {
  const directory = t.testdir({
    'users.htpasswd': await usersFile(),
    'session-key': 'a key of more than sixteen characters',
  })
  const env = Object.fromEntries(
    settings('Environment').map(line => {
      const [name = '', value = ''] = line.split('=')
      return [name, value.replace('%d', directory).replace('%C', '/var/cache')]
    }),
  )
  const { config } = await loadConfig({ env, flags: { config: `${root}config/minimal.yaml` } })
  t.match(config, {
    cache: { directory: `/var/cache/${setting('CacheDirectory')}` },
    uploads: { sessionKey: Object },
  })
  t.ok(Number(/^(\d+)s$/.exec(setting('TimeoutStopSec'))?.[1]) * 1000 > config.limits.drainTimeout)
  t.equal(setting('LoadCredential'), 'session-key:/etc/ecr-mirror/session-key')
  t.match(setting('ExecStart'), / \/opt\/ecr-mirror\/dist\/main\.js serve$/)
  t.match(setting('ExecReload'), /kill -HUP \$MAINPID$/)
})

const namesSchema = z.string().transform(text => text.split('\n').map(line => line.trim()))

/** The system calls of a set of systemd's, with those of the sets in it. */
async function callsOf(set: string): Promise<Set<string>> {
  const [, ...lines] = namesSchema.parse(
    await succeed('systemd-analyze', ['syscall-filter', '--no-pager', set]),
  )
  const calls = new Set<string>()
  for (const line of lines) {
    if (line.startsWith('@')) for (const call of await callsOf(line)) calls.add(call)
    else if (line !== '' && !line.startsWith('#')) calls.add(line)
  }
  return calls
}

t.test(
  'the mirror serves, reloads and ends with the system calls and addresses that are allowed to it',
  needs('systemd-analyze', 'strace'),
  async t => {
    const [allow = '', deny = ''] = settings('SystemCallFilter')
    const allowed = new Set<string>()
    for (const set of allow.split(' ')) for (const call of await callsOf(set)) allowed.add(call)
    for (const set of deny.replace('~', '').split(' '))
      for (const call of await callsOf(set)) allowed.delete(call)
    t.ok(allowed.has('openat') && !allowed.has('mount') && !allowed.has('setuid'))

    const ecr = await startEcr({ knobs: { createOnPush: [''] } })
    t.teardown(() => ecr.close())
    const { layers } = await ecr.putImage('team/app', '1.0')
    const directory = t.testdir({ users: await usersFile() })
    await chmod(directory, 0o700)
    const config = join(directory, 'mirror.json')
    await writeFile(
      config,
      JSON.stringify({
        listen: '127.0.0.1:0',
        operations: { listen: '127.0.0.1:0' },
        log: { format: 'json' },
        users: { htpasswd: 'users' },
        cache: { directory: 'cache' },
        upstreams: [
          {
            name: 'main',
            host: ecr.host,
            ...reachOf(ecr),
          },
        ],
      }),
    )
    const trace = join(directory, 'trace')
    const listening = /"listen":\["(http:[^"]+)"\]/
    const env = { AWS_ACCESS_KEY_ID: 'any', AWS_SECRET_ACCESS_KEY: 'any' }
    const mirror = await startDaemon(
      t,
      [
        'strace',
        '-D',
        '-f',
        '-qq',
        '-e',
        'signal=none',
        '-o',
        trace,
        process.execPath,
        `${root}dist/main.js`,
        'serve',
        '--config',
        config,
      ],
      { env, ready: output => listening.test(output) },
    )
    const [, url = ''] = listening.exec(mirror.output()) ?? []
    const ask = (path: string, init: RequestInit = {}) =>
      fetch(url + path, {
        ...init,
        headers: { authorization },
      })
    for (const path of ['/v2/', '/v2/team/app/manifests/1.0', `/v2/team/app/blobs/${layers[0]?.digest}`]) {
      const answer = await ask(path)
      t.equal(answer.status, 200, path)
      await answer.arrayBuffer()
    }
    const upload = await ask('/v2/team/new/blobs/uploads/', { method: 'POST' })
    t.equal(upload.status, 202)
    // With -D strace stands behind the process that it watches, not in front of it.
    process.kill(mirror.pid, 'SIGHUP')
    await until(() => mirror.output().includes('configuration reloaded'))
    process.kill(mirror.pid, 'SIGTERM')
    await until(async () => (await readFile(trace, 'utf8')).includes('exit_group('))

    const lines = (await readFile(trace, 'utf8')).split('\n')
    const made = new Set(lines.flatMap(line => /^\d+ +(\w+)\(/.exec(line)?.[1] ?? []))
    t.ok(made.has('openat') && made.has('accept4') && made.size > 30, 'it was watched')
    t.same(
      [...made].filter(call => !allowed.has(call)),
      [],
      'no other calls',
    )
    const families = new Set(lines.flatMap(line => /^\d+ +socket\((\w+)/.exec(line)?.[1] ?? []))
    t.same(
      [...families].filter(family => !setting('RestrictAddressFamilies').split(' ').includes(family)),
      [],
    )
  },
)

t.test('the files that its README installs are there', async t => {
  const readme = await readFile(`${folder}/README.md`, 'utf8')
  for (const [file] of readme.matchAll(/\b(?:deploy|config)\/[\w./-]+/g))
    t.ok(await readFile(root + file, 'utf8'), file)
  t.same((await readdir(folder)).sort(), ['README.md', 'ecr-mirror.service'])
})

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${condition.toString()}`)
    await sleep(50)
  }
}
