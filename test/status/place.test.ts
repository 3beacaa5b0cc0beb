import t from 'tap'
import { parseEcrHost } from '../../src/upstream/ecr-host.js'
import { placeOf } from '../../src/status/place.js'

const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
const ecr = parseEcrHost(HOST)!
const upstreams = [
  { name: 'main', ecr, repositoryPrefix: '' },
  { name: 'hub', ecr, repositoryPrefix: 'docker-hub' },
]

t.test('a repository is that of the upstream with the longest prefix that it has', async t => {
  const at = (repository: string, registry = HOST) => placeOf({ registry, repository }, upstreams)
  t.same(at('team/app'), { upstream: 'main', repository: 'team/app' })
  t.same(at('docker-hub/library/nginx'), { upstream: 'hub', repository: 'library/nginx' })
  t.same(at('docker-hubs/nginx'), { upstream: 'main', repository: 'docker-hubs/nginx' })
  t.equal(at('team/app', 'elsewhere'), undefined)
  t.equal(placeOf({ registry: HOST, repository: 'team/app' }, upstreams.slice(1)), undefined)
})
