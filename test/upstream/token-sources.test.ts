import t from 'tap'
import { parseEcrHost, type PrivateEcrHost } from '../../src/upstream/ecr-host.js'
import type { EcrApi, EcrApiSettings } from '../../src/upstream/ecr-api.js'
import { createTokenSources } from '../../src/upstream/token-sources.js'
import { never } from './support/server.js'

const host = (account: string, region = 'us-east-1'): PrivateEcrHost =>
  parseEcrHost(`${account}.dkr.ecr.${region}.amazonaws.com`) as PrivateEcrHost

function apis(): { create: (settings: EcrApiSettings) => EcrApi; calls: number; open: number } {
  const state = {
    calls: 0,
    open: 0,
    create: (): EcrApi => {
      state.open++
      return {
        issueToken: () => Promise.resolve({ authorizationToken: `t${++state.calls}`, expiresAt: undefined }),
        close: () => state.open--,
      }
    },
  }
  return state
}

t.test('accounts of one region and credentials share a token', async t => {
  const state = apis()
  const sources = createTokenSources(state.create)
  const one = sources.open(host('111111111111'), {}, undefined)
  const two = sources.open(host('222222222222'), {}, undefined)
  t.equal(await one.current(never), await two.current(never))
  t.equal(state.calls, 1)
  one.close()
  one.close()
  t.equal(state.open, 1)
  t.ok(two.state().usable)
  two.close()
  t.equal(state.open, 0)
})

t.test('another region, role, profile or API has a token of its own', async t => {
  const state = apis()
  const sources = createTokenSources(state.create)
  const all = [
    sources.open(host('111111111111'), {}, undefined),
    sources.open(host('111111111111', 'eu-west-1'), {}, undefined),
    sources.open(host('111111111111'), { roleArn: 'a' }, undefined),
    sources.open(host('111111111111'), { roleArn: 'a', externalId: 'b' }, undefined),
    sources.open(host('111111111111'), { profile: 'a' }, undefined),
    sources.open(host('111111111111'), {}, 'http://api'),
  ]
  const tokens = await Promise.all(all.map(source => source.current(never)))
  t.equal(new Set(tokens).size, all.length)
  for (const source of all) source.close()
  t.equal(state.open, 0)
})

t.test('a source that is opened anew before the old one is closed keeps its token', async t => {
  const state = apis()
  const sources = createTokenSources(state.create)
  const before = sources.open(host('111111111111'), {}, undefined)
  const token = await before.current(never)
  const after = sources.open(host('111111111111'), {}, undefined)
  before.close()
  t.equal(await after.current(never), token)
  after.close()
})
