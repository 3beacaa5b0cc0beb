import t from 'tap'
import { needsWorld, startWorld } from './support/world.js'
import { walkTwoAccounts } from './support/two-accounts.js'

t.test(
  'from the configuration for two accounts a newcomer comes to pulls by ECR names',
  needsWorld('containerd', 'ctr'),
  async t => {
    const world = await startWorld(t)
    const { checked, pulled } = await walkTwoAccounts(t, world)
    t.notMatch(checked, /^✗/m, 'nothing is wrong')
    for (const upstream of ['team', 'shared'])
      for (const what of ['identity of', 'token of', 'upstream', 'redirect of'])
        t.match(checked, new RegExp(`^✓ ${what} ${upstream}:`, 'm'))
    for (const { image, digest, listed } of pulled) {
      const [, line = ''] = listed.trim().split('\n')
      t.same(
        line.split(/\s+/).filter(word => [image, digest].includes(word)),
        [image, digest],
        'under its own name',
      )
    }
    const roles = world.ecr.requests.filter(({ at, region }) => at === 'api' && region === 'eu-west-1')
    t.ok(roles.length > 0 && roles.every(({ accessKeyId }) => accessKeyId?.startsWith('ASIA')), 'by the role')
  },
)
