import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { hash as hashArgon2 } from '@node-rs/argon2'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import fc from 'fast-check'
import t from 'tap'
import { parseHtpasswd, type HtpasswdFile } from '../../src/access/htpasswd.js'
import { hashPassword } from '../../src/access/password-hash.js'

const APACHE_MISSING = spawnSync('htpasswd').error ? 'htpasswd (apache2-utils) is not installed' : false

const BCRYPT = `$2y$10$${'a'.repeat(53)}`

function read(text: string): HtpasswdFile {
  const file = parseHtpasswd(text, 'users.htpasswd')
  if ('problems' in file) throw new Error(file.problems.join('\n'))
  return file
}

function problems(text: string): readonly string[] {
  const file = parseHtpasswd(text, 'users.htpasswd')
  return 'problems' in file ? file.problems : []
}

t.test('a file with every kind of hash lets each user in with the password of theirs', async t => {
  const { users } = read(
    [
      '# the build farm',
      `ci:${await hashBcrypt('bcrypt-password', 4)}`,
      '',
      `dev:${await hashPassword('scrypt-password '.repeat(5))}`,
      `ops@example.com:${await hashArgon2('argon2id-password')}`,
    ].join('\n'),
  )
  t.same([...users.keys()], ['ci', 'dev', 'ops@example.com'])
  const lets = (name: string, password: string) => users.get(name)?.[0]?.matches(password)
  t.equal(await lets('ci', 'bcrypt-password'), true)
  t.equal(await lets('ci', 'argon2id-password'), false)
  t.equal(await lets('dev', 'scrypt-password '.repeat(5)), true)
  t.equal(await lets('ops@example.com', 'argon2id-password'), true)
})

t.test('several lines for one name are several valid passwords', async t => {
  const [old, renewed] = [await hashBcrypt('old', 4), await hashBcrypt('new', 4)]
  const hashes = read(`ci:${old}\nci:${renewed}\n`).users.get('ci') ?? []
  t.same(await Promise.all(hashes.map(hash => hash.matches('old'))), [true, false])
  t.same(await Promise.all(hashes.map(hash => hash.matches('new'))), [false, true])
})

t.test('a file that Apache htpasswd writes is taken', { skip: APACHE_MISSING }, async t => {
  const dir = t.testdir({})
  const path = `${dir}/users`
  spawnSync('htpasswd', ['-ciB', path, 'ci'], { input: 'one\n' })
  spawnSync('htpasswd', ['-iB', path, 'dev'], { input: 'two\n' })
  const { users, warnings } = read(readFileSync(path, 'utf8'))
  t.equal(await users.get('ci')?.[0]?.matches('one'), true)
  t.equal(await users.get('dev')?.[0]?.matches('two'), true)
  t.equal(warnings.length, 2, 'and its cost of 5 is called weak')
})

t.test('how editors leave a file makes no difference', t => {
  const names = (text: string): string[] => [...read(text).users.keys()]
  t.same(names(`\uFEFFci:${BCRYPT}`), ['ci'])
  t.same(names(`ci:${BCRYPT}\r\ndev:${BCRYPT}\r\n`), ['ci', 'dev'])
  t.same(names(`ci:${BCRYPT}\rdev:${BCRYPT}`), ['ci', 'dev'])
  t.same(names(`\n\n  \t\n# comment\n  # indented\n  ci:${BCRYPT}  \n`), ['ci'])
  t.same(names(`#ci:${BCRYPT}`), [])
  t.end()
})

t.test('an empty file lets nobody in', t => {
  for (const text of ['', '\n', '\uFEFF', '# nobody\n']) t.equal(read(text).users.size, 0)
  t.end()
})

t.test('names that objects have of their own are names like others', t => {
  const { users } = read(`__proto__:${BCRYPT}\nconstructor:${BCRYPT}`)
  t.same([...users.keys()], ['__proto__', 'constructor'])
  t.equal(read('').users.get('toString'), undefined)
  t.end()
})

t.test('a refused line is named by file and number, with the cure and without its content', t => {
  const text = [
    `ci:${BCRYPT}`,
    '# fine',
    'dev:$apr1$hunter2$Q1/XKTcJ1.VkDyGBmWnmJ1',
    'hunter2',
    'a b:hunter2',
    'x:hunter2',
  ]
  const found = problems(text.join('\r\n'))
  t.equal(found.length, 4, 'all of them at once')
  t.match(found[0], /^users\.htpasswd:3: .*MD5 \(\$apr1\$\).*ecr-mirror hash-password NAME$/)
  t.match(found[1], /^users\.htpasswd:4: .*no colon.*ecr-mirror hash-password NAME$/)
  t.match(found[2], /^users\.htpasswd:5: .*user name/)
  t.match(found[3], /^users\.htpasswd:6: .*plain text.*ecr-mirror hash-password NAME$/)
  t.notMatch(found.join('\n'), /hunter2|Q1\/XK|dev/)
  t.end()
})

t.test('one refused line makes the whole file count for nothing', t => {
  t.notOk('users' in parseHtpasswd(`ci:${BCRYPT}\ndev:plain`, 'f'))
  t.match(problems(`anonymous:${BCRYPT}`), [/anonymous/])
  t.match(problems(`:${BCRYPT}`), [/user name/])
  t.match(problems(`ci:${BCRYPT}:more`), [/damaged/])
  t.end()
})

t.test('a weak hash is a warning that names its line', t => {
  const { warnings } = read(`ci:${BCRYPT}\ndev:${BCRYPT.replace('$10$', '$05$')}`)
  t.match(warnings, [/^users\.htpasswd:2: bcrypt of cost 5 .*hash-password NAME$/])
  t.equal(warnings.length, 1)
  t.end()
})

t.test('whatever stands in a file, it is read or refused line by line', t => {
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      `ci:${BCRYPT}`,
      '',
      '#',
      'ci:',
      ':',
      'ci:{SHA}x',
      '$2y$',
      'ci:$scrypt$',
      'ci:$argon2id$v=19$',
    ),
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(line), lines => {
        const file = parseHtpasswd(lines.join('\n'), 'f')
        return 'problems' in file
          ? file.problems.every(each => /^f:\d+: /.test(each))
          : file.users instanceof Map
      }),
      { numRuns: 2000 },
    ),
  )
  t.end()
})
