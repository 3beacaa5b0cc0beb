import { readFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { authorization, startMirror } from '../support/mirror.js'
import { ask } from '../support/requests.js'
import { atOnce, attacks, countOf, SEED } from './support/attacks.js'

interface Attack {
  readonly path: string
  readonly user: string
  readonly agent: string
  readonly address: string
}

const attack = (part: Partial<Attack>): Attack => ({
  path: '/v2/team/app/manifests/v1',
  user: '',
  agent: 'docker/27',
  address: '10.0.0.1',
  ...part,
})

/** What splits lines, colours terminals, ends strings or opens fields. */
const TEXTS = [
  'a\\nb',
  '{"level":60,"msg":"forged"}',
  '","user":"root","x":"',
  '\u001b[31mred',
  '\u009b31m',
  'x\u2028y',
  '%0a%0d',
  "' OR 1=1",
  '${jndi:ldap://evil.example/}',
  'x'.repeat(6_000),
  'é'.repeat(1_000),
]
const latin1 = (text: string): string => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '?')

const WRITTEN: readonly Attack[] = TEXTS.flatMap(text => [
  attack({ agent: latin1(text) }),
  attack({ user: text }),
  attack({ path: `/v2/${encodeURIComponent(text)}/manifests/v1` }),
  attack({ path: `/v2/team/app/manifests/v1?ns=${encodeURIComponent(text)}` }),
  attack({ address: latin1(text) }),
])

const segment = fc.stringMatching(/^[a-z0-9]{1,40}$/)
const generated = fc
  .record({
    path: fc.oneof(
      fc.tuple(segment, segment).map(([name, tag]) => `/v2/${name}/manifests/${tag}`),
      fc
        .string({ unit: 'binary', maxLength: 60 })
        .map(text => `/v2/${encodeURIComponent(Buffer.from(text).toString())}`),
    ),
    user: fc.oneof(fc.constant(''), segment, fc.string({ unit: 'binary', maxLength: 60 })),
    agent: fc.string({ unit: 'binary', maxLength: 100 }).map(latin1),
    address: fc.oneof(fc.ipV4(), fc.string({ maxLength: 40 }).map(latin1)),
  })
  .map(attack)

t.test(
  'whatever clients send, a request is one bounded line of each log, and no new metric',
  { timeout: 0 },
  async t => {
    const auditFile = `${t.testdir({})}/audit.jsonl`
    const { url, app, log } = await startMirror(t, {
      settings: { audit: { file: auditFile }, trustedProxies: ['127.0.0.0/8'] },
    })
    const series = async (): Promise<string[]> => {
      const answer = await fetch(`${app.operationsUrl}/metrics`)
      const text = await answer.text()
      t.equal(answer.status, 200)
      // What Node.js tells of its own inside, such as kinds of collections, comes when it happens.
      const names = text.split('\n').filter(line => line !== '' && !/^(?:#|nodejs_)/.test(line))
      return names.map(line => line.replace(/ [^ ]+$/, '')).sort()
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 40 })
    t.teardown(() => agent.destroy())
    const send = ({ path, user, agent: userAgent, address }: Attack) =>
      ask(url + path, {
        agent,
        headers: {
          authorization:
            user === '' ? authorization : `Basic ${Buffer.from(`${user}:not it`).toString('base64')}`,
          'user-agent': userAgent,
          'x-forwarded-for': address,
        },
      }).catch(() => undefined)

    // Every kind of answer once, so that what there is to count has been counted.
    for (const warm of [
      attack({}),
      attack({ user: 'x' }),
      attack({ path: '/v2/%00' }),
      attack({ path: '/v2/team/app/manifests/v1?ns=evil.example' }),
      attack({ address: '' }),
      // So many that the last are held.
      ...Array.from({ length: 12 }, () => attack({ user: 'y' })),
    ])
      await send(warm)
    const before = await series()
    const from = log.length
    let answered = 0
    await atOnce(attacks('H23', WRITTEN, generated), 40, async each => {
      const answer = await send(each)
      if (!answer) return
      answered++
      if (answer.status >= 500 && answer.status !== 503)
        t.fail(`${answer.status} for ${JSON.stringify(each)}, seed ${SEED}`)
    })
    const lines = (): Record<string, unknown>[] => log.slice(from).filter(({ msg }) => msg === 'request')
    for (let tries = 0; tries < 200 && lines().length < answered; tries++) await pause(10)
    t.comment(`${answered} answers, ${lines().length} lines`)
    t.ok(answered >= countOf('H23') * 0.9, 'nearly all were requests')
    // That each is an object says that it was JSON in one line: the log under test is read line by line.
    t.equal(lines().length, answered, 'one line each')
    t.same(
      log.filter(({ msg, level }) => msg === 'forged' || level === 60),
      [],
      'no line is forged',
    )
    t.ok(
      log.every(line => JSON.stringify(line).length < 4096),
      'and none is long',
    )

    t.same(await series(), before, 'the metrics have the same names and labels')

    await app.close()
    const audited = (await readFile(auditFile, 'latin1')).split('\n')
    t.equal(audited.pop(), '', 'the audit log ends with a line')
    t.ok(audited.length > 0, 'it has lines')
    const odd = audited.filter(line => !/^\{[\x20-\x7e]{1,4096}\}$/.test(line) || !isObject(line))
    t.same(odd.slice(0, 3), [], 'each is JSON in ASCII, and short')
    t.equal(audited.filter(line => line.includes('"event":"forged"')).length, 0)
  },
)

function isObject(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object'
  } catch {
    return false
  }
}
