import t, { type Test } from 'tap'
import { hiddenNames } from '../../src/config/hidden-names.js'
import { loadConfig } from '../../src/config/load.js'

const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
const OTHER = '210987654321.dkr.ecr.eu-west-1.amazonaws.com'

async function warnings(t: Test, yaml: string): Promise<string[]> {
  const directory = t.testdir({ 'mirror.yaml': `users: { htpasswd: users }\n${yaml}` })
  const { config } = await loadConfig({ env: {}, flags: { config: `${directory}/mirror.yaml` } })
  return hiddenNames(config)
}

t.test('of several upstreams each hides what the default registry has under its name', async t => {
  const lines = await warnings(
    t,
    `upstreams: [{ name: team, host: ${HOST}, default: true }, { name: shared, host: ${OTHER} }]`,
  )
  t.equal(lines.length, 1)
  t.match(lines[0], /upstream "team" whose names begin with team\/, shared\/ are hidden/)
  t.match(lines[0], /its team\/app as team\/team\/app/)
})

t.test('without a default nothing is hidden', async t => {
  t.same(await warnings(t, `upstreams: [{ name: a, host: ${HOST} }, { name: b, host: ${OTHER} }]`), [])
})

t.test('the name of an only upstream hides something where a grant or a creation speaks of it', async t => {
  const team = `upstreams: [{ name: team, host: ${HOST} }]`
  t.same(await warnings(t, team), [])
  const grant = (pattern: string): string =>
    `policy: [{ principals: [ci], repositories: ['${pattern}'], actions: [pull] }]`
  t.match(await warnings(t, `${team}\n${grant('team/**')}`), [/begin with team\/ are hidden/])
  t.same(await warnings(t, `${team}\n${grant('teams/**')}`), [])
  const creating = `upstreams: [{ name: team, host: ${HOST}, createRepositories: { match: ['team/**'] } }]`
  t.match(await warnings(t, creating), [/begin with team\/ are hidden/])
})

t.test('registries of the command line are called by their account, as no repository is', async t => {
  const { config } = await loadConfig({
    env: { ECR_MIRROR_USERS: 'ci:a-password' },
    flags: { registry: [HOST, OTHER] },
  })
  t.same(hiddenNames(config), [])
})
