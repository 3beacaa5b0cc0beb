import { EventEmitter, once } from 'node:events'
import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config/load.js'
import { createReloader, type Reloader } from '../../src/config/reload.js'
import type { Config } from '../../src/config/schema.js'

const yaml = (more = ''): string =>
  `users: { htpasswd: users }\nupstreams: [{ name: a, host: 123456789012.dkr.ecr.us-east-1.amazonaws.com }]\n${more}`

/** A reloader of a real file; what is logged and applied is emitted. */
async function start(
  t: Test,
  file: string,
  apply: (config: Config) => Promise<void> = () => Promise.resolve(),
) {
  const events = new EventEmitter()
  const lines: string[] = []
  const say = (...said: unknown[]): void => {
    lines.push(String(said.at(-1)))
    events.emit('line', lines.at(-1))
  }
  const load = () => loadConfig({ env: {}, flags: { config: file } })
  const reloader: Reloader = createReloader({
    load,
    initial: await load(),
    apply,
    log: { info: say, warn: say, error: say },
    interval: 20,
  })
  // The watch alone does not keep a process alive.
  const alive = setInterval(() => undefined, 1000)
  t.teardown(async () => {
    clearInterval(alive)
    await reloader.close()
  })
  return { reloader, lines, events }
}

t.test('a change of the file is taken over', async t => {
  const file = join(t.testdir({ 'm.yaml': yaml(), users: '' }), 'm.yaml')
  const applied: Config[] = []
  const { reloader, lines } = await start(t, file, config => {
    applied.push(config)
    return Promise.resolve()
  })
  writeFileSync(file, yaml('log: { level: debug }'))
  await reloader.reload()
  t.equal(reloader.current.log.level, 'debug')
  t.equal(applied.at(-1), reloader.current)
  t.ok(lines.includes('configuration reloaded'))
  t.same(reloader.counts.failed, 0)
})

t.test('a file that cannot be used changes nothing, is logged and counted', async t => {
  const file = join(t.testdir({ 'm.yaml': yaml(), users: '' }), 'm.yaml')
  const { reloader, lines } = await start(t, file, () =>
    Promise.reject(new Error('nothing is to be applied')),
  )
  const before = reloader.current
  writeFileSync(file, yaml('log: { level: loud }'))
  await reloader.reload()
  t.equal(reloader.current, before)
  t.ok(reloader.counts.failed >= 1)
  t.match(
    lines[0],
    /^configuration not reloaded, the old one stays in force: .*m\.yaml:3:15 log\.level: found "loud"/,
  )
})

t.test('what cannot be put in force changes nothing', async t => {
  const file = join(t.testdir({ 'm.yaml': yaml(), users: '' }), 'm.yaml')
  const { reloader, lines } = await start(t, file, () => Promise.reject(new Error('no such certificate')))
  const before = reloader.current
  await reloader.reload()
  t.equal(reloader.current, before)
  t.same(reloader.counts, { succeeded: 0, failed: 1 })
  t.same(lines, ['configuration not reloaded, the old one stays in force: no such certificate'])
})

t.test('what cannot change is named and stays, the rest is taken over', async t => {
  const file = join(t.testdir({ 'm.yaml': yaml(), users: '' }), 'm.yaml')
  const { reloader, lines } = await start(t, file)
  writeFileSync(
    file,
    yaml(
      'listen: 127.0.0.1:1\noperations: { listen: 127.0.0.1:2 }\ntls: { certificate: c, key: k }\nlog: { level: warn }',
    ),
  )
  await reloader.reload()
  t.match(reloader.current, {
    listen: [{ port: 5000 }],
    operations: { listen: { port: 5001 } },
    log: { level: 'warn' },
  })
  t.same(reloader.current.tls, [])
  for (const key of ['listen', 'operations.listen', 'tls']) {
    t.ok(lines.includes(`${key} cannot change while the mirror runs; restart it for that`), key)
  }
})

t.test('reloads do not overlap, and those asked for meanwhile become one', async t => {
  const file = join(t.testdir({ 'm.yaml': yaml(), users: '' }), 'm.yaml')
  let inside = 0
  let most = 0
  const { reloader } = await start(t, file, async () => {
    most = Math.max(most, ++inside)
    await new Promise(resolve => setImmediate(resolve))
    inside--
  })
  await Promise.all([1, 2, 3, 4, 5].map(() => reloader.reload()))
  t.equal(most, 1)
  t.same(reloader.counts, { succeeded: 2, failed: 0 })
})

t.test('a users file that changes, and a link that is swapped, are seen', async t => {
  const directory = t.testdir({
    v1: { 'm.yaml': yaml(), users: 'a' },
    v2: { 'm.yaml': yaml('log: { level: error }'), users: 'b' },
  })
  symlinkSync('v1', join(directory, 'current'))
  const { reloader, events } = await start(t, join(directory, 'current', 'm.yaml'))
  // The watch compares with what it saw first; a change before that would not be one.
  await new Promise(resolve => setTimeout(resolve, 100))
  const changed = once(events, 'line')
  writeFileSync(join(directory, 'v1', 'users'), 'longer')
  t.same(await changed, ['configuration reloaded'])
  const swapped = once(events, 'line')
  symlinkSync('v2', join(directory, 'next'))
  renameSync(join(directory, 'next'), join(directory, 'current'))
  t.same(await swapped, ['configuration reloaded'])
  t.equal(reloader.current.log.level, 'error')
})

t.test('after the end nothing is reloaded', async t => {
  const file = join(t.testdir({ 'm.yaml': yaml(), users: '' }), 'm.yaml')
  const { reloader } = await start(t, file)
  await reloader.close()
  await reloader.reload()
  t.same(reloader.counts, { succeeded: 0, failed: 0 })
})
