import t from 'tap'
import { parseEcrHost, type PrivateEcrHost } from '../../src/upstream/ecr-host.js'
import { createTokenSources, type TokenIssuer } from '../../src/upstream/token-sources.js'
import { never } from './support/server.js'
import { Secret } from '../../src/secret.js'

const host = (account: string, region = 'us-east-1'): PrivateEcrHost =>
  parseEcrHost(`${account}.dkr.ecr.${region}.amazonaws.com`) as PrivateEcrHost

function apis(): { create: () => TokenIssuer; calls: number; open: number } {
  const state = {
    calls: 0,
    open: 0,
    create: (): TokenIssuer => {
      state.open++
      return {
        issueToken: () =>
          Promise.resolve({ authorization: new Secret(`Basic t${++state.calls}`), expiresAt: undefined }),
        close: () => state.open--,
      }
    },
  }
  return state
}

t.test('accounts of one region and credentials share a token', async t => {
  const state = apis()
  const sources = createTokenSources(state.create)
  const one = sources.open({ ecr: host('111111111111'), credentials: {} })
  const two = sources.open({ ecr: host('222222222222'), credentials: {} })
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
    sources.open({ ecr: host('111111111111'), credentials: {} }),
    sources.open({ ecr: host('111111111111', 'eu-west-1'), credentials: {} }),
    sources.open({ ecr: host('111111111111'), credentials: { roleArn: 'a' } }),
    sources.open({ ecr: host('111111111111'), credentials: { roleArn: 'a', externalId: new Secret('b') } }),
    sources.open({ ecr: host('111111111111'), credentials: { profile: 'a' } }),
    sources.open({ ecr: host('111111111111'), credentials: {}, apiEndpoint: 'http://api' }),
  ]
  const tokens = await Promise.all(all.map(source => source.current(never)))
  t.equal(new Set(tokens).size, all.length)
  for (const source of all) source.close()
  t.equal(state.open, 0)
})

t.test('a source that is opened anew before the old one is closed keeps its token', async t => {
  const state = apis()
  const sources = createTokenSources(state.create)
  const before = sources.open({ ecr: host('111111111111'), credentials: {} })
  const token = await before.current(never)
  const after = sources.open({ ecr: host('111111111111'), credentials: {} })
  before.close()
  t.equal(await after.current(never), token)
  after.close()
})
