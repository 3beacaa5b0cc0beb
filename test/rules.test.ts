import t from 'tap'
import { loadConfig } from '../src/config/load.js'
import { Logins } from '../src/access/logins.js'
import { makeRules } from '../src/rules.js'
import { createThrottles } from '../src/upstream/throttle.js'
import { createTokenSources } from '../src/upstream/token-sources.js'

const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
const LINE = 'dev:$2b$04$abcdefghijklmnopqrstuuIcRQJZTsqNvDz8tYYjyuJ5Rsi2EH6VG'

async function rulesOf(files: Record<string, string>, users: string | undefined) {
  const upstreams = `upstreams: [{ name: main, host: ${HOST} }]\n`
  const directory = t.testdir({ 'm.yaml': `users: { htpasswd: users }\n${upstreams}`, ...files })
  const { config } = await loadConfig({
    flags: { config: `${directory}/m.yaml` },
    env: users === undefined ? {} : { ECR_MIRROR_USERS: users },
  })
  const made = await makeRules(
    config,
    { tokens: createTokenSources(), throttles: createThrottles() },
    new Logins(),
    undefined,
  )
  t.teardown(() => Promise.all(made.upstreams.map(upstream => upstream.close())))
  return made
}

t.test('users of the file and of the environment, and the upstreams, are put together', async t => {
  const { rules, upstreams, warnings } = await rulesOf({ users: `${LINE}\n` }, 'ci:word')
  t.equal(rules.hasUsers, true)
  t.same(
    ['dev', 'ci', 'nobody'].map(user => rules.passwords.knows(user)),
    [true, true, false],
  )
  t.equal(await rules.passwords.check('ci', 'word', '10.0.0.1'), 'good')
  t.equal(await rules.passwords.check('ci', 'other', '10.0.0.1'), 'bad')
  t.same(
    upstreams.map(({ name }) => name),
    ['main'],
  )
  t.equal(rules.upstreams.byName('main'), upstreams[0])
  t.ok(Array.isArray(warnings))
})

t.test('a users file that cannot be used is refused, with its name', async t => {
  const refusal = (files: Record<string, string>): Promise<unknown> =>
    rulesOf(files, 'ci:word').catch((error: unknown) => error)
  t.match(await refusal({}), { lines: [/users: the users file cannot be read; create it with/] })
  t.match(await refusal({ users: 'dev:plain\n' }), { lines: [/users/] })
})
