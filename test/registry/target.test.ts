import t from 'tap'
import { parseRequest } from '../../src/oci/endpoint.js'
import { OciError } from '../../src/oci/error.js'
import { parseRepository } from '../../src/oci/reference.js'
import { placeOf, resolveTarget, withoutPrefix } from '../../src/registry/target.js'
import { createUploadSessions } from '../../src/registry/upload-session.js'
import { createUpstreamTable } from '../../src/upstream/upstream-table.js'
import { createThrottles } from '../../src/upstream/throttle.js'
import { createTokenSources } from '../../src/upstream/token-sources.js'
import { createUpstream } from '../../src/upstream/upstream.js'
import { Secret } from '../../src/secret.js'

const deps = { tokens: createTokenSources(), throttles: createThrottles() }
const main = createUpstream(
  { name: 'main', host: '123456789012.dkr.ecr.us-east-1.amazonaws.com', default: true },
  deps,
)
const hub = createUpstream(
  {
    name: 'hub',
    host: '210987654321.dkr.ecr.us-east-1.amazonaws.com',
    repositoryPrefix: 'docker-hub',
    serves: ['docker.io'],
  },
  deps,
)
t.teardown(() => Promise.all([main.close(), hub.close()]))
const table = createUpstreamTable([main, hub])
const sessions = createUploadSessions(new Secret('secret'))
const DIGEST = `sha256:${'a'.repeat(64)}`

function resolve(method: string, path: string, host = 'mirror') {
  const parsed = parseRequest(method, path)
  if (parsed instanceof OciError) throw parsed
  return resolveTarget(method, parsed, host, table, sessions)
}

t.test('what a request means: which upstream, which repository, under which names', async t => {
  for (const [path, host, upstream, repository, there, segment] of [
    ['/v2/team/app/tags/list', 'mirror', 'main', 'team/app', 'team/app', undefined],
    ['/v2/hub/library/a/tags/list', 'mirror', 'hub', 'library/a', 'docker-hub/library/a', 'hub'],
    ['/v2/hub/a/tags/list?ns=docker.io', 'mirror', 'hub', 'hub/a', 'docker-hub/hub/a', undefined],
    ['/v2/library/a/tags/list', 'docker.io', 'hub', 'library/a', 'docker-hub/library/a', undefined],
  ] as const) {
    const target = resolve('GET', path, host)
    t.equal(target.upstream?.name, upstream, path)
    t.equal(target.place?.repository, repository)
    t.equal(target.place?.upstreamRepository, there)
    t.equal(target.segment, segment)
  }
  t.equal(resolve('GET', '/v2/quay.io/a/tags/list').place?.upstreamRepository, 'quay.io/a')
  t.throws(() => resolve('GET', '/v2/public.ecr.aws/a/tags/list'), { code: 'NAME_UNKNOWN' })
  t.throws(() => resolve('GET', '/v2/?ns=quay.io'), { code: 'NAME_UNKNOWN' })
  t.equal(resolve('GET', '/v2/').upstream, undefined, "the base is the mirror's own")
})

t.test('the permission that each request needs', async t => {
  for (const [method, path, actions] of [
    ['GET', '/v2/', []],
    ['GET', '/v2/_catalog', ['catalog']],
    ['GET', '/v2/a/tags/list', ['pull']],
    ['GET', `/v2/a/referrers/${DIGEST}`, ['pull']],
    ['GET', '/v2/a/manifests/v1', ['pull']],
    ['HEAD', '/v2/a/manifests/v1', ['pull', 'push']],
    ['PUT', '/v2/a/manifests/v1', ['push']],
    ['DELETE', '/v2/a/manifests/v1', ['delete']],
    ['GET', `/v2/a/blobs/${DIGEST}`, ['pull']],
    ['HEAD', `/v2/a/blobs/${DIGEST}`, ['pull', 'push']],
    ['DELETE', `/v2/a/blobs/${DIGEST}`, ['delete']],
    ['POST', '/v2/a/blobs/uploads/', ['push']],
  ] as const)
    t.same(resolve(method, path).actions, actions, `${method} ${path}`)
})

t.test('an upload goes on where it began, and only under its own name', async t => {
  const session = {
    id: 'x',
    principal: 'ci',
    upstream: 'hub',
    registry: hub.ecr.host,
    name: 'hub/library/a',
    repository: 'docker-hub/library/a',
    location: '/v2/x',
    offset: 0,
    expires: Date.now() + 60_000,
  }
  const sealed = sessions.seal(session)
  const target = resolve('PATCH', `/v2/hub/library/a/blobs/uploads/${sealed}`, 'docker.io')
  t.equal(target.place?.repository, 'library/a', 'grants know it without the prefix')
  t.same(target.session, session)
  t.same(target.actions, ['push'])
  for (const [name, segment] of [
    ['other', sealed],
    ['hub/library/a', 'forged'],
    ['hub/library/a', sessions.seal({ ...session, upstream: 'gone' })],
    ['hub/library/a', sessions.seal({ ...session, registry: main.ecr.host.replace('1', '2') })],
    ['hub/library/a', sessions.seal({ ...session, repository: 'outside/a' })],
    ['hub/library/a', sessions.seal({ ...session, repository: 'NO NAME' })],
    ['hub/library/a', sessions.seal({ ...session, expires: 1 })],
  ] as const)
    t.throws(() => resolve('PATCH', `/v2/${name}/blobs/uploads/${segment}`), { code: 'BLOB_UPLOAD_UNKNOWN' })
})

t.test('a prefix goes on and comes off', async t => {
  const name = parseRepository('library/a')!
  t.equal(placeOf(hub, name).upstreamRepository, 'docker-hub/library/a')
  t.equal(withoutPrefix(hub, parseRepository('docker-hub/library/a')!), 'library/a')
  t.equal(withoutPrefix(hub, parseRepository('docker-hubx/a')!), undefined)
  t.equal(withoutPrefix(main, name), 'library/a')
  t.throws(() => placeOf(hub, parseRepository('a'.repeat(250))!), { code: 'NAME_INVALID' })
})
