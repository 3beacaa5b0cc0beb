import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { VERSION } from '../../src/version.js'

/** As this file itself is run: compiled as it is loaded, or before. */
const EXTENSION = extname(import.meta.url)
const PROGRAM = fileURLToPath(new URL(`small-mirror${EXTENSION}`, import.meta.url))
const LOADER = EXTENSION === '.ts' ? ['--import=tsx'] : []
const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'

/** The commands as a process; `seen` resolves when its output matches. */
function start(
  t: Test,
  args: readonly string[],
  { env = {}, input }: { env?: NodeJS.ProcessEnv; input?: string } = {},
) {
  const child = spawn(process.execPath, [...LOADER, PROGRAM, ...args], {
    env: { ...process.env, ...env },
    stdio: 'pipe',
  })
  t.teardown(() => child.kill('SIGKILL'))
  const output = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.err += text))
  child.stdin.end(input ?? '')
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...output }))
  const seen = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(output.out)
      if (match) return match
      const more = await Promise.race([once(child.stdout, 'data'), ended.then(() => undefined)])
      if (!more && !pattern.test(output.out)) throw new Error(`not seen: ${JSON.stringify(output)}`)
    }
  }
  return { child, ended, seen }
}

// Each process compiles what it runs, which takes seconds where others compete for the processor.
t.setTimeout(180_000)

const QUICK = ['--registry', HOST, '--listen', '127.0.0.1:0']
const USERS = { ECR_MIRROR_USERS: 'ci:hunter2' }

t.test('--version and every --help, with an example', async t => {
  t.match(await start(t, ['--version']).ended, { code: 0, out: `${VERSION}\n`, err: '' })
  for (const args of [[], ['serve'], ['warm'], ['images'], ['purge'], ['hash-password'], ['healthcheck']]) {
    const { code, out } = await start(t, [...args, '--help']).ended
    t.equal(code, 0)
    t.match(out, /^Usage: ecr-mirror/)
    t.match(out, /\nExamples?:\n {2}\S/)
  }
})

t.test('bad usage is 2, said on standard error', async t => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['srve'], /^ecr-mirror: unknown command "srve" \(did you mean serve\?\); see: ecr-mirror --help\n$/],
    [['--confg', 'x'], /^error: unknown option '--confg'/],
    [['hash-password'], /missing required argument 'name'/],
    [['hash-password', 'a:b'], /^ecr-mirror: a user name has/],
    [['hash-password', 'ci'], /^ecr-mirror: the password is empty/],
    [['--config', '/does/not/exist'], /^ecr-mirror: \/does\/not\/exist: cannot be read: ENOENT\n$/],
  ]
  for (const [args, message] of cases) {
    const { code, out, err } = await start(t, args).ended
    t.equal(code, 2, args.join(' '))
    t.equal(out, '')
    t.match(err, message)
  }
})

t.test('a configuration that is wrong is 2, one line for each thing', async t => {
  const file = join(t.testdir({ 'm.yaml': 'listn: x\nlog: { level: loud }' }), 'm.yaml')
  const { code, err } = await start(t, ['serve', '--config', file], { env: USERS }).ended
  t.equal(code, 2)
  const lines = err.trimEnd().split('\n')
  t.equal(lines.length, 3)
  t.ok(lines.every(line => line.startsWith(`ecr-mirror: ${file}`)))
  t.notMatch(err, /hunter2/)
})

t.test('hash-password prints a line for the password of standard input', async t => {
  const { code, out } = await start(t, ['hash-password', 'ci'], { input: 'a password\n' }).ended
  t.equal(code, 0)
  t.match(out, /^ci:\$2[aby]\$12\$[./A-Za-z0-9]{53}\n$/)
})

t.test('healthcheck asks the operations port', async t => {
  const server = createServer((request, response) =>
    response.writeHead(request.url === '/livez' ? 200 : 404).end(),
  )
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const env = {
    ECR_MIRROR_OPERATIONS_LISTEN: `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
  }
  t.match(await start(t, ['healthcheck'], { env }).ended, { code: 0, out: '', err: '' })
  server.removeAllListeners('request').on('request', (_request, response) => response.writeHead(503).end())
  t.match(await start(t, ['healthcheck'], { env }).ended, { code: 1, err: /answered 503\n$/ })
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
  t.match(await start(t, ['healthcheck'], { env }).ended, {
    code: 1,
    err: /no answer from http:\/\/127\.0\.0\.1:\d+\/livez/,
  })
})

t.test('serve says where it listens and how to log in, and SIGTERM ends it with 0', async t => {
  const env = { ...USERS, ECR_MIRROR_LOG_FORMAT: 'pretty', ECR_MIRROR_LIMITS_DRAINDELAY: '0s' }
  const { child, ended, seen } = start(t, QUICK, { env })
  const [, url] = await seen(
    /ecr-mirror listens on (http:\S+:\d+); log in with: docker login -u ci 127\.0\.0\.1:\d+\n/,
  )
  t.equal((await fetch(`${url}/livez`)).status, 200)
  child.kill('SIGTERM')
  const { code, out } = await ended
  t.equal(code, 0)
  t.match(out, /SIGTERM: draining[\s\S]*ended/)
  t.notMatch(out, /hunter2/)
})

t.test('requests still in flight after the drain are cut; a second signal does not wait', async t => {
  const held = async (drainTimeout: string) => {
    const mirror = start(t, QUICK, { env: { ...USERS, ECR_MIRROR_LIMITS_DRAINTIMEOUT: drainTimeout } })
    const [, url] = await mirror.seen(/"listen":\["(http:[^"]+)"\]/)
    const response = await fetch(`${url}/hold`)
    mirror.child.kill('SIGTERM')
    await mirror.seen(/SIGTERM: draining/)
    return { ...mirror, body: response.text().catch(() => 'cut') }
  }
  const patient = await held('50ms')
  t.equal(await patient.body, 'cut')
  t.equal((await patient.ended).code, 0)

  const impatient = await held('0s')
  t.equal(await impatient.body, 'cut')
  t.equal((await impatient.ended).code, 0)

  const hurried = await held('1h')
  hurried.child.kill('SIGTERM')
  t.equal((await hurried.ended).code, 1)
})

t.test('between SIGTERM and its end the mirror is retired and takes connections still', async t => {
  const env = { ...USERS, ECR_MIRROR_LIMITS_DRAINDELAY: '2s' }
  const { child, ended, seen } = start(t, QUICK, { env })
  const [, url = ''] = await seen(/"listen":\["(http:[^"]+)"\]/)
  child.kill('SIGTERM')
  await seen(/SIGTERM: draining[\s\S]*retired/)
  t.equal((await fetch(`${url}/livez`)).status, 200)
  const { code, out } = await ended
  t.equal(code, 0)
  t.match(out, /retired[\s\S]*no more connections are taken[\s\S]*ended/)
})

t.test('Ctrl-C waits for no balancer', async t => {
  const env = { ...USERS, ECR_MIRROR_LIMITS_DRAINDELAY: '10m', ECR_MIRROR_LIMITS_DRAINTIMEOUT: '10m' }
  const { child, ended, seen } = start(t, QUICK, { env })
  await seen(/listens on/)
  child.kill('SIGINT')
  const { code, out } = await ended
  t.equal(code, 0)
  t.match(out, /SIGINT: draining[\s\S]*ended/)
})

t.test('a mirror that is to end before it has started ends with 0', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const env = { ...USERS, ECR_MIRROR_PUBLICURL: 'http://never-starts' }
    const { child, ended, seen } = start(t, QUICK, { env })
    await seen(/starting/)
    child.kill(signal)
    t.match(await ended, { code: 0, err: '' }, signal)
  }
})

t.test('SIGHUP reloads, and what cannot be used leaves the old in force', async t => {
  const yaml = `listen: 127.0.0.1:0\nusers: { htpasswd: users }\nupstreams: [{ name: a, host: ${HOST} }]\n`
  const directory = t.testdir({ 'm.yaml': yaml, users: 'good' })
  const { child, ended, seen } = start(t, ['--config', join(directory, 'm.yaml')])
  await seen(/listens on/)
  child.kill('SIGHUP')
  await seen(/configuration reloaded/)
  writeFileSync(join(directory, 'users'), 'bad')
  child.kill('SIGHUP')
  await seen(/configuration not reloaded, the old one stays in force: bad users file/)
  child.kill('SIGINT')
  t.equal((await ended).code, 0)
})

t.test('a port in use and an uncaught error are 1', async t => {
  const { ended, seen } = start(t, QUICK, { env: USERS })
  const [, port] = await seen(/"listen":\["http:\/\/127\.0\.0\.1:(\d+)"\]/)
  const second = await start(t, ['--registry', HOST, '--listen', `127.0.0.1:${port}`], { env: USERS }).ended
  t.match(second, { code: 1, err: /^ecr-mirror: listen EADDRINUSE/ })
  await fetch(`http://127.0.0.1:${port}/throw`).catch(() => undefined)
  const { code, out } = await ended
  t.equal(code, 1)
  t.match(out, /thrown on purpose/)
})
