import { hash as hashBcrypt } from '@node-rs/bcrypt'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { HELD_SECONDS, Logins } from '../../src/access/logins.js'
import { startMirror } from '../support/mirror.js'
import { ask, type PlainAnswer } from '../support/requests.js'
import { atOnce } from './support/attacks.js'

const LOGINS = [
  ['ci', 'word'],
  ['ci', 'next'],
  ['dev', 'word'],
  ['ops', 'word'],
] as const

const users = t.testdir({
  // Dear enough that a flood comes faster than they are compared.
  htpasswd: (
    await Promise.all(LOGINS.map(async ([name, password]) => `${name}:${await hashBcrypt(password, 7)}\n`))
  ).join(''),
})

const LIMIT = 8
const IN_FLOOD = 120
const FLOODING = '192.0.2.1'

type Login = readonly [user: string, password: string, address: string]

/** A mirror that believes in the addresses it is told, with logins at any of them. */
async function startFlooded(t: Test) {
  let now = 1_000
  let mostWaiting = 0
  const logins = new Logins({ queueLimit: LIMIT, clock: () => now })
  const { url, ecr } = await startMirror(t, {
    settings: { trustedProxies: ['127.0.0.1/32'], users: { htpasswd: `${users}/htpasswd` } },
    logins,
  })
  const login = async (...[user, password, address]: Login): Promise<PlainAnswer> => {
    const answer = await ask(`${url}/v2/`, {
      headers: {
        authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
        'x-forwarded-for': address,
      },
    })
    mostWaiting = Math.max(mostWaiting, logins.waiting)
    return answer
  }
  return {
    logins,
    login,
    mostWaiting: () => mostWaiting,
    pass: (seconds: number) => (now += seconds * 1000),
    sentUpstream: () => ecr.count({ at: 'registry' }),
    /** Wrong logins, forty at a time, each of which must be refused as a wrong one or told to come again. */
    flood: async (wrong: Iterable<Login>): Promise<number[]> => {
      const statuses: number[] = []
      await atOnce(wrong, 40, async each => {
        const { status, headers } = await login(...each)
        statuses.push(status)
        if (status === 429) t.ok(Number(headers['retry-after']) > 0, 'a 429 says when to come again')
        else t.equal(status, 401)
      })
      return statuses
    },
    /** Is refused so often from an address that nobody new waits there any more. */
    exhaust: async (address: string): Promise<void> => {
      for (const index of each(50, index => index)) await login(`x${index}`, 'x', address)
    },
    /** Logs in as a client does that was told to come again, until it is not. */
    persist: async (...each: Login): Promise<number> => {
      for (let tries = 0; tries < 1_000; tries++) {
        const { status } = await login(...each)
        if (status !== 429) return status
        await sleep(20)
      }
      return 429
    },
    /** The statuses of one login after another until something has ended. */
    goOn: async (each: Login, until: Promise<unknown>): Promise<number[]> => {
      const ended = new AbortController()
      const end = (): void => ended.abort()
      until.then(end, end)
      const statuses: number[] = []
      while (!ended.signal.aborted) statuses.push((await login(...each)).status)
      return statuses
    },
  }
}

function* each<T>(count: number, of: (index: number) => T): Generator<T> {
  for (let index = 0; index < count; index++) yield of(index)
}

const count = (statuses: readonly number[], status: number): number =>
  statuses.filter(each => each === status).length

t.test('a flood from one address: who is known there goes on, and who is new gets in', async t => {
  const { login, flood, goOn, persist, exhaust } = await startFlooded(t)
  t.equal((await login('ci', 'word', FLOODING)).status, 200)
  const flooding = flood(each(IN_FLOOD, index => [`user${index}`, 'guess', FLOODING]))
  const going = goOn(['ci', 'word', FLOODING], flooding)
  t.equal(await persist('dev', 'word', '192.0.2.2'), 200, 'elsewhere')
  t.equal(await persist('ops', 'word', FLOODING), 200, 'at the same address')
  const statuses = await flooding
  const good = await going
  t.ok(good.length > 5)
  t.equal(count(good, 200), good.length, 'all of them')
  t.ok(count(statuses, 401) <= 50 + LIMIT, 'few of the flood were looked at while they waited')
  await exhaust(FLOODING)
  t.equal((await login('user', 'guess', FLOODING)).status, 429, 'nobody new waits there any more')
  t.equal((await login('ci', 'next', FLOODING)).status, 429, 'nor does a right password')
  t.equal(await persist('ci', 'next', FLOODING), 200, 'which is found to be one all the same')
})

t.test('a flood of guesses for one name locks it out nowhere else, nor where it is known', async t => {
  const { login, flood, logins } = await startFlooded(t)
  t.equal((await login('ci', 'word', FLOODING)).status, 200)
  const statuses = await flood(each(IN_FLOOD, index => ['ci', `guess ${index}`, FLOODING]))
  t.ok(count(statuses, 401) <= 10, 'ten guesses')
  t.equal((await login('ci', 'word', FLOODING)).status, 200, 'known')
  t.equal((await login('ci', 'next', '192.0.2.2')).status, 200, 'another address')
  t.equal((await login('dev', 'word', FLOODING)).status, 200, 'another name')
  t.ok(logins.refused >= IN_FLOOD)
})

t.test('a flood from many addresses: who is known goes on, and who is new gets in', async t => {
  const { login, flood, goOn, persist } = await startFlooded(t)
  t.equal((await login('ci', 'word', '198.51.100.1')).status, 200)
  const flooding = flood(each(IN_FLOOD, index => [`user${index % 50}`, `${index}`, `10.0.0.${index}`]))
  const going = goOn(['ci', 'word', '198.51.100.1'], flooding)
  t.equal(await persist('dev', 'word', '198.51.100.2'), 200)
  const statuses = await flooding
  const good = await going
  t.ok(good.length > 5)
  t.equal(count(good, 200), good.length, 'all of them')
  t.ok(count(statuses, 429) > 0, 'not all of the flood was looked at')
})

t.test('as many as may wait do, and more are told when to come again', async t => {
  const { login, mostWaiting } = await startFlooded(t)
  const answers = await Promise.all(
    each(10 * LIMIT, index => login(`user${index}`, 'guess', `10.0.1.${index}`)),
  )
  const again = answers.filter(({ status }) => status === 429)
  t.ok(mostWaiting() <= LIMIT)
  t.ok(again.length > 0)
  t.equal(answers.filter(({ status }) => status === 401).length, answers.length - again.length)
  for (const { headers, bytes } of again) {
    t.equal(headers['retry-after'], '2')
    t.equal(JSON.parse(bytes.toString()).errors[0].code, 'TOOMANYREQUESTS')
  }
})

t.test('whatever is tried with a name, the answers do not say whether it exists', async t => {
  const { login, exhaust, sentUpstream } = await startFlooded(t)
  /** All of an answer that may not differ. */
  const seen = ({ status, headers: { date, 'x-request-id': id, ...headers }, bytes }: PlainAnswer) => {
    t.ok(date !== undefined && id !== undefined)
    return { status, headers, body: bytes.toString() }
  }
  const tried = async (name: string, other: string, address: string) => {
    const answers = []
    for (const index of each(12, index => index))
      answers.push(seen(await login(name, `guess ${index}`, address)))
    await exhaust(address)
    for (const index of each(12, index => index))
      answers.push(seen(await login(other, `guess ${index % 3}`, address)))
    return answers
  }
  const known = await tried('ci', 'dev', '192.0.2.10')
  t.same(await tried('nobody', 'another.name', '192.0.2.11'), known)
  t.same(
    known.map(({ status, headers }) => [status, headers['retry-after']]),
    [
      ...Array<unknown>(10).fill([401, undefined]),
      ...Array<unknown>(2).fill([429, '60']),
      ...Array<unknown>(12).fill([429, '2']),
    ],
  )
  t.equal(sentUpstream(), 0, 'and nothing went upstream')
})

t.test('when a flood has ended, everything is as before', async t => {
  const { login, flood, exhaust, pass, logins } = await startFlooded(t)
  await flood(each(IN_FLOOD, index => [`user${index}`, 'guess', FLOODING]))
  await exhaust(FLOODING)
  t.equal((await login('user1', 'guess', FLOODING)).status, 429)
  pass(HELD_SECONDS + 1)
  t.equal((await login('ci', 'word', FLOODING)).status, 200)
  t.equal((await login('user1', 'guess', FLOODING)).status, 401)
  t.equal(logins.waiting, 0)
})
