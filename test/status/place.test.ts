import t from 'tap'
import { placeOf } from '../../src/status/place.js'
import { registryKey } from '../../src/upstream/registry-key.js'

const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
const credentials = { roleArn: 'arn:aws:iam::123456789012:role/reader' }
const upstreams = [
  { name: 'main', settings: { name: 'main', host: HOST }, repositoryPrefix: '' },
  { name: 'hub', settings: { name: 'hub', host: HOST }, repositoryPrefix: 'docker-hub' },
  { name: 'role', settings: { name: 'role', host: HOST, credentials }, repositoryPrefix: '' },
]

t.test('a repository is that of the upstream with the longest prefix that it has', async t => {
  const at = (repository: string, registry = HOST) => placeOf({ registry, repository }, upstreams)
  t.same(at('team/app'), { upstream: 'main', repository: 'team/app' })
  t.same(at('docker-hub/library/nginx'), { upstream: 'hub', repository: 'library/nginx' })
  t.same(at('docker-hubs/nginx'), { upstream: 'main', repository: 'docker-hubs/nginx' })
  t.same(
    at('docker-hub/library/nginx', registryKey({ host: HOST, credentials })),
    { upstream: 'role', repository: 'docker-hub/library/nginx' },
    'and of the same credentials',
  )
  t.equal(at('team/app', 'elsewhere'), undefined)
  t.equal(placeOf({ registry: HOST, repository: 'team/app' }, upstreams.slice(1, 2)), undefined)
})
