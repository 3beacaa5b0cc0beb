import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { parseHtpasswd } from '../../src/access/htpasswd.js'
import { ConfigError } from '../../src/config/config-error.js'
import { loadConfig } from '../../src/config/load.js'
import { createReloader } from '../../src/config/reload.js'
import { readUsers } from '../../src/rules.js'
import { usersFile } from '../support/users.js'
import { atOnce, attacks, SEED } from './support/attacks.js'

const SECRET = 'hunter2-Tr0ub4dor3'
const HASH = `$2y$10$${'a'.repeat(53)}`
const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
const SMALL = `users: { htpasswd: users }\nupstreams: [{ name: main, host: ${HOST} }]\n`

interface Attack {
  readonly file: 'mirror.yaml' | 'users'
  readonly text: string
  /** Whether it is odd but right. */
  readonly taken?: boolean
}

const config = (text: string, taken?: boolean): Attack => ({
  file: 'mirror.yaml',
  text,
  taken: taken === true,
})
const users = (text: string, taken?: boolean): Attack => ({ file: 'users', text, taken: taken === true })

/** Four lines of six aliases each: 6^6 values from a few hundred bytes. */
const BOMB = Array.from({ length: 7 }, (_, level) =>
  level === 0 ? 'a0: &a0 [x, x, x, x, x, x]' : `a${level}: &a${level} [${`*a${level - 1}, `.repeat(6)}]`,
).join('\n')

const WRITTEN: readonly Attack[] = [
  // What a secret may be written as by mistake.
  ...[
    `users: { ci:${SECRET} }`,
    `users: { "${SECRET}": x }`,
    `users: { ci: ${SECRET} }`,
    `users: ${SECRET}`,
    `uploads: ${SECRET}`,
    `uploads: { sessionKey: [${SECRET}] }`,
    `uploads: { sessionkey: ${SECRET} }`,
    `password: ${SECRET}`,
    `listen: ci:${SECRET}`,
    `publicUrl: https://ci:${SECRET}@mirror.internal`,
    `publicUrl: https://mirror.internal/?token=${SECRET}`,
    `limits: { maxRequests: ${SECRET} }`,
    `log: { level: ${SECRET} }`,
    `log: ["${SECRET}]`,
    `log: '${SECRET}`,
    `"${SECRET}`,
    `? ${SECRET}\n: - ${SECRET}`,
    `log: *${SECRET}`,
    `log: !${SECRET} x`,
  ].map(text => config(SMALL + text)),
  // Forms of YAML that grow, nest, repeat or lie.
  ...[
    BOMB,
    '['.repeat(20_000),
    `log: ${'{ a: '.repeat(3000)}1${' }'.repeat(3000)}`,
    `x: ${'y'.repeat(2_000_000)}`,
    'log: { level: info }\nlog: { level: warn }',
    '__proto__: { listen: 127.0.0.1:1 }',
    'constructor: { prototype: { admin: true } }',
    'log: { __proto__: { level: trace } }',
    'toString: 1',
    'limits: { maxRequests: .inf }',
    'limits: { maxRequests: .nan }',
    'limits: { maxRequests: 1e400 }',
    'limits: { maxRequests: -1 }',
    'limits: { maxRequests: 1.5 }',
    'limits: { maxRequests: 0x }',
    'limits: { maxRequests: 99999999999999999999 }',
    'limits: { idleTimeout: 1e9s }',
    'limits: { idleTimeout: -1s }',
    'cache: { directory: "" }',
    'cache: { directory: x, maxSize: 1 }',
    'listen: "0.0.0.0:99999"',
    'listen: "[::1:5000"',
    'log: { level: "in\\0fo" }',
    'policy: [{ principals: [], actions: [pull] }]',
    'policy: [{ principals: [ci], actions: [all] }]',
    'trustedProxies: [0.0.0.0/33]',
    'trustedProxies: ["::ffff:1.2.3.4/129"]',
    '--- 1\n--- 2',
    '%YAML 9.9',
    '\0',
    '\t\tlog: x',
  ].map(text => config(SMALL + text)),
  ...['', '[]', 'null', '1', '"text"', '- a', '\uFEFF', '{', '{}'].map(text => config(text)),
  config(`users: { htpasswd: "users\\0" }\nupstreams: [{ name: main, host: ${HOST} }]`),
  config(`users: { htpasswd: . }\nupstreams: [{ name: main, host: ${HOST} }]`),
  config(`users: { htpasswd: none }\nupstreams: [{ name: main, host: ${HOST} }]`),
  ...['evil.example', `${HOST}.evil.example`, `evil@${HOST}`, `${HOST}/x`, `${HOST}:1`, ''].map(host =>
    config(`users: { htpasswd: users }\nupstreams: [{ name: main, host: "${host}" }]`),
  ),
  config(`${SMALL}policy: [{ principals: [ci], repositories: ["../x"], actions: [pull] }]`, true),
  config(SMALL.replaceAll('\n', '\r\n'), true),
  config(`\uFEFF${SMALL}`, true),
  // Users.
  ...[
    SECRET,
    `ci:${SECRET}`,
    `ci:{PLAIN}${SECRET}`,
    'ci:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=',
    'ci:$apr1$abcdefgh$0123456789012345678901',
    'ci:$1$abcdefgh$0123456789012345678901',
    'ci:$5$rounds=5000$x$y',
    'ci:rl.3StKT.4T8M',
    'ci:',
    ':',
    `:${HASH}`,
    `ci ${HASH}`,
    `anonymous:${HASH}`,
    `c\0i:${HASH}`,
    `c\u001b[31mi:${HASH}`,
    `${'x'.repeat(65)}:${HASH}`,
    `ci:${HASH}x`,
    `ci:${HASH.slice(0, -1)}`,
    `ci:$2y$99$${'a'.repeat(53)}`,
    `ci:$2y$31$${'a'.repeat(53)}`,
    'ci:$argon2id$v=19$m=4294967295,t=9,p=1$YWFhYWFhYWE$YWFhYWFhYWE',
    'ci:$scrypt$ln=60,r=8,p=1$YWFhYWFhYWE$YWFhYWFhYWE',
    `ci:${HASH}\nci:${SECRET}`,
    `ci:${HASH}\0\ndev:${HASH}`,
  ].map(text => users(text)),
  users(`\uFEFFci:${HASH}\r\n`, true),
  users(`ci:${HASH}\nci:${HASH}\n`, true),
  users(`# ${SECRET}\n\n  ci:${HASH}  \n`, true),
  users(`__proto__:${HASH}\nconstructor:${HASH}\n`, true),
  users('', true),
]

const KEYS = [
  'listen',
  'tls',
  'users',
  'policy',
  'uploads',
  'log',
  'limits',
  'audit',
  'trustedProxies',
  'operations',
]
const generated: fc.Arbitrary<Attack> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...KEYS), fc.jsonValue({ maxDepth: 3 }))
    .map(([key, value]) =>
      config(SMALL + JSON.stringify({ [key]: { wrong: [value, SECRET] } }).slice(1, -1)),
    ),
  // Half-written: the file ends anywhere.
  fc.integer({ min: 1, max: SMALL.length - 4 }).map(length => config(SMALL.slice(0, length))),
  fc
    .tuple(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.constantFrom(SECRET, `{SHA}${SECRET}`, `$2y$${SECRET}`),
    )
    .map(([name, hash]) => users(`${name.replaceAll('#', '')}x:${hash}`)),
)

t.test(
  'what is wrong is refused with what to do and no secret, and what is odd but right is taken',
  async t => {
    const directory = mkdtempSync(join(tmpdir(), 'hostile-configuration-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const wrong: string[] = []
    let count = 0
    await atOnce(attacks('H21', WRITTEN, generated), 1, async ({ file, text, taken = false }) => {
      count++
      const name = `seed ${SEED}, ${file}: ${JSON.stringify(text.slice(0, 160))}`
      writeFileSync(join(directory, 'mirror.yaml'), file === 'mirror.yaml' ? text : SMALL)
      writeFileSync(join(directory, 'users'), file === 'users' ? text : `ci:${HASH}\n`)
      const flags = { config: join(directory, 'mirror.yaml') }
      const error = await loadConfig({ env: {}, flags })
        .then(({ config }) => readUsers(config))
        .then(
          () => undefined,
          (cause: unknown) => cause,
        )
      if (taken !== (error === undefined))
        wrong.push(
          `${name} is ${taken ? 'refused' : 'taken'}: ${error instanceof Error ? error.stack : typeof error}`,
        )
      if (error === undefined) return
      if (!(error instanceof ConfigError)) {
        wrong.push(`${name} fails with ${error instanceof Error ? error.stack : typeof error}`)
        return
      }
      const said = error.lines.join('\n')
      if (error.lines.length === 0 || error.lines.some(line => line.length > 2000))
        wrong.push(`${name}: no short line`)
      if (/[\0-\x09\x0b-\x1f]/.test(said)) wrong.push(`${name}: control characters`)
      if (said.includes(SECRET)) wrong.push(`${name} shows it: ${said}`)
      if (!said.includes(directory)) wrong.push(`${name} names no file: ${said}`)
    })
    t.comment(`${count} configurations`)
    t.same(wrong.slice(0, 20), [])
    t.equal(({} as Record<string, unknown>)['admin'], undefined, 'no prototype was changed')
  },
)

t.test('r57: neither the value of a key that is none nor one in the wrong place is shown', async t => {
  const file = join(
    t.testdir({ 'mirror.yaml': `${SMALL}users2: { ci: ${SECRET} }\nlog: { level: ${SECRET} }\n` }),
    'mirror.yaml',
  )
  const error = await loadConfig({ env: {}, flags: { config: file } }).then(
    () => undefined,
    (cause: unknown) => cause,
  )
  if (!(error instanceof ConfigError)) throw new Error('expected a refusal')
  t.match(error.message, /log\.level: found a value that is not shown here/)
  t.notMatch(error.message, SECRET)
})

t.test('r58: a tag of YAML that is none is not shown', async t => {
  const file = join(t.testdir({ 'mirror.yaml': `log: !${SECRET} x\n` }), 'mirror.yaml')
  await t.rejects(loadConfig({ env: {}, flags: { config: file } }), {
    message: /:1:6 is not valid YAML: Unresolved tag$/,
  })
})

t.test('r59: a path with a control character is refused where it is written', async t => {
  const file = join(t.testdir({ 'mirror.yaml': SMALL.replace('users }', '"a\\0b" }') }), 'mirror.yaml')
  await t.rejects(loadConfig({ env: {}, flags: { config: file } }), {
    message: /users\.htpasswd: found "a\\u0000b", expected/,
  })
})

t.test('a reload keeps the old one through half-written files and swapped links', async t => {
  const good = await usersFile('ci:the password of ci')
  const directory = t.testdir({ a: { 'mirror.yaml': SMALL, users: good }, b: {}, 'mirror.yaml': '' })
  const link = join(directory, 'current')
  const swap = (to: string): void => {
    symlinkSync(to, `${link}.new`)
    renameSync(`${link}.new`, link)
  }
  swap('a')
  const load = () => loadConfig({ env: {}, flags: { config: join(link, 'mirror.yaml') } })
  const said: string[] = []
  const say = (...words: unknown[]): void => void said.push(String(words.at(-1)))
  const reloader = createReloader({
    load,
    initial: await load(),
    apply: async next => {
      await readUsers(next)
    },
    log: { info: say, warn: say, error: say },
  })
  t.teardown(() => reloader.close())
  const before = reloader.current
  for (const [yaml, list] of [
    [SMALL.slice(0, 40), good],
    [SMALL, `${good.slice(0, 30)}\n`],
    [SMALL, `ci:${SECRET}`],
    ['', ''],
  ] as const) {
    writeFileSync(join(directory, 'b', 'mirror.yaml'), yaml)
    writeFileSync(join(directory, 'b', 'users'), list)
    swap('b')
    await reloader.reload()
    t.equal(reloader.current, before, 'the old one stays in force')
    swap('a')
  }
  t.equal(reloader.counts.failed, 4)
  t.notMatch(said.join('\n'), SECRET)
  await reloader.reload()
  t.equal(reloader.counts.succeeded, 1, 'and the right one is taken again')
  t.ok('problems' in parseHtpasswd(`ci:${SECRET}`, 'users'))
})
