import t from 'tap'
import { OciError } from '../../src/oci/error.js'
import { parseRepository, type Repository } from '../../src/oci/reference.js'
import { createUpstreamTable, type Selectable } from '../../src/upstream/upstream-table.js'

const MAIN = '111111111111.dkr.ecr.us-east-1.amazonaws.com'
const OTHER = '222222222222.dkr.ecr.eu-west-1.amazonaws.com'

function upstream(name: string, settings: Partial<Selectable['settings']> = {}): Selectable {
  return { name, settings: { host: MAIN, ...settings } }
}

const main = upstream('main', { default: true })
const hub = upstream('hub', {
  repositoryPrefix: 'docker-hub',
  serves: ['docker.io', 'hub.mirror.internal', 'odd.example:8443'],
})
const other = upstream('other', { host: OTHER })
const table = createUpstreamTable([hub, main, other])

const repository = (text: string): Repository => {
  const parsed = parseRepository(text)
  if (!parsed) throw new Error(text)
  return parsed
}

interface Row {
  ns?: string
  host?: string
  name?: string
  means: [upstream: string, repository: string | undefined, segment?: string] | 'unknown'
}

const rows: Record<string, Row> = {
  'ns names the host': { ns: MAIN, name: 'a/b', means: ['main', 'a/b'] },
  'ns in another case': { ns: OTHER.toUpperCase(), name: 'a', means: ['other', 'a'] },
  'ns with the port of https': { ns: `${OTHER}:443`, name: 'a', means: ['other', 'a'] },
  'ns with another port is another registry': { ns: `${OTHER}:5000`, name: 'a', means: 'unknown' },
  'ns is a name that an upstream serves': {
    ns: 'docker.io',
    name: 'library/nginx',
    means: ['hub', 'library/nginx'],
  },
  'ns with a port that an upstream serves': { ns: 'odd.example:8443', name: 'a', means: ['hub', 'a'] },
  'ns that nobody serves': { ns: 'ghcr.io', name: 'main/a', means: 'unknown' },
  'ns that is an upstream name is no host': { ns: 'main', name: 'a', means: 'unknown' },
  'an empty ns': { ns: '', name: 'a', means: 'unknown' },
  'ns goes before Host': { ns: OTHER, host: 'hub.mirror.internal', name: 'a', means: ['other', 'a'] },
  'ns takes no segment off': { ns: 'docker.io', name: 'main/a', means: ['hub', 'main/a'] },
  'ns without a repository': { ns: 'docker.io', means: ['hub', undefined] },
  'Host is served, with the port of the mirror': {
    host: 'HUB.mirror.internal:5000',
    name: 'main/a',
    means: ['hub', 'main/a'],
  },
  "Host is an upstream's": { host: OTHER, name: 'a', means: ['other', 'a'] },
  'Host is the mirror itself': { host: 'mirror.internal:5000', name: 'a', means: ['main', 'a'] },
  'a segment that is a name': {
    host: 'mirror:5000',
    name: 'other/team/app',
    means: ['other', 'team/app', 'other'],
  },
  'a segment that is a name, of an upstream with a prefix': {
    name: 'hub/library/nginx',
    means: ['hub', 'library/nginx', 'hub'],
  },
  'a segment that is a full host': { name: `${OTHER}/app`, means: ['other', 'app', OTHER] },
  'a shared full host means the one without a prefix': { name: `${MAIN}/app`, means: ['main', 'app', MAIN] },
  'a name alone is a repository': { name: 'other', means: ['main', 'other'] },
  'a repository with a dot alone': { name: 'my.app', means: ['main', 'my.app'] },
  "another registry's name is part of a repository": { name: 'ghcr.io/app', means: ['main', 'ghcr.io/app'] },
  'so is localhost': { name: 'localhost/app', means: ['main', 'localhost/app'] },
  'and a served name, which is no segment': {
    name: 'docker.io/library/nginx',
    means: ['main', 'docker.io/library/nginx'],
  },
  'a host of AWS that is no registry': {
    name: 's3.us-east-1.amazonaws.com/app',
    means: ['main', 's3.us-east-1.amazonaws.com/app'],
  },
  ...Object.fromEntries(
    [
      '333333333333.dkr.ecr.us-east-1.amazonaws.com',
      '333333333333.dkr.ecr.cn-north-1.amazonaws.com.cn',
      '333333333333.dkr.ecr.eusc-de-east-1.amazonaws.eu',
      '333333333333.dkr.ecr-fips.us-gov-west-1.amazonaws.com',
      '333333333333.dkr-ecr.us-east-1.on.aws',
      '333333333333.dkr.ecr.us-iso-east-1.c2s.ic.gov',
      'public.ecr.aws',
      'ecr-public.aws.com',
    ].flatMap((host): [string, Row][] => [
      [`${host}, which nobody configured`, { name: `${host}/app`, means: 'unknown' }],
      [`${host} alone`, { name: host, means: 'unknown' }],
    ]),
  ),
  'anything else is the default': { name: 'team/app', means: ['main', 'team/app'] },
  'nothing at all is the default': { means: ['main', undefined] },
}

for (const [title, { means, name, ...asked }] of Object.entries(rows)) {
  t.test(title, t => {
    const selected = table.select({ ...asked, name: name === undefined ? undefined : repository(name) })
    if (means === 'unknown') {
      t.match(selected, { code: 'NAME_UNKNOWN', status: 404 })
    } else {
      if (selected instanceof OciError) throw selected
      const [upstreamName, rest, segment] = means
      t.same([selected.upstream.name, selected.repository, selected.segment], [upstreamName, rest, segment])
    }
    t.end()
  })
}

t.test('the only upstream is the default, and with a prefix still owns its host', t => {
  const alone = createUpstreamTable([upstream('hub', { repositoryPrefix: 'docker-hub' })])
  t.match(alone.select({ name: repository('team/app') }), { upstream: { name: 'hub' } })
  t.match(alone.select({ ns: MAIN, name: repository('team/app') }), { upstream: { name: 'hub' } })
  t.end()
})

t.test('without a default a bare name is unknown, and the message tells the names', t => {
  const several = createUpstreamTable([upstream('one'), upstream('two', { host: OTHER })])
  for (const name of ['team/app', 'ghcr.io/acme/tool']) {
    const refusal = several.select({ name: repository(name) })
    t.match(refusal, { code: 'NAME_UNKNOWN', status: 404, message: /one, two/ })
  }
  t.end()
})

t.test('of several with the same host and prefixes only, none owns it', t => {
  const prefixed = createUpstreamTable([
    upstream('one', { repositoryPrefix: 'a' }),
    upstream('two', { repositoryPrefix: 'b' }),
  ])
  t.match(prefixed.select({ ns: MAIN, name: repository('app') }), { code: 'NAME_UNKNOWN' })
  t.match(prefixed.select({ name: repository('two/app') }), { upstream: { name: 'two' } })
  t.end()
})

t.test('claims of two upstreams to one name are refused', t => {
  t.throws(() => createUpstreamTable([upstream('one'), upstream('ONE', { host: OTHER })]), /name one/)
  t.throws(() => createUpstreamTable([upstream('one'), upstream('two')]), /host/)
  t.throws(
    () =>
      createUpstreamTable([
        upstream('one', { serves: ['x.y'] }),
        upstream('two', { host: OTHER, serves: ['X.Y:443'] }),
      ]),
    /served name x\.y/,
  )
  t.end()
})

t.test('upstreams are found by name', t => {
  t.equal(table.byName('hub'), hub)
  t.equal(table.byName('nobody'), undefined)
  t.same(table.all, [hub, main, other])
  t.end()
})
