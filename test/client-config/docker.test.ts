import t from 'tap'
import { docker } from '../../src/client-config/docker.js'
import { BASIC, contentAt, HUB, mirror, ONE, OTHER, paths, PLAIN } from './mirror.js'

const ECR_NAMES = '~/.docker/ecr-names/config.json'
const DAEMON = '/etc/docker/daemon.json'

t.test('over https: a login, the authority, and the transparent way', t => {
  const { files, test } = docker(mirror())
  t.same(paths(files), [
    '~/.docker/config.json',
    '/etc/docker/certs.d/mirror.internal/ca.crt',
    '/etc/hosts',
    `/etc/docker/certs.d/${ONE.name}/ca.crt`,
    `/etc/docker/certs.d/${OTHER.name}/ca.crt`,
    ECR_NAMES,
  ])
  t.equal(
    contentAt(files, '~/.docker/config.json'),
    `{\n  "auths": {\n    "mirror.internal": {\n      "auth": "${BASIC}"\n    }\n  }\n}\n`,
    'the password is for the mirror alone',
  )
  t.equal(contentAt(files, '/etc/docker/certs.d/mirror.internal/ca.crt'), 'PEM for mirror.internal\n')
  t.equal(contentAt(files, `/etc/docker/certs.d/${OTHER.name}/ca.crt`), `PEM for ${OTHER.name}\n`)
  t.equal(contentAt(files, '/etc/hosts'), `MIRROR_ADDRESS ${ONE.name} ${OTHER.name}\n`)
  const { auths } = JSON.parse(contentAt(files, ECR_NAMES) ?? '') as { auths: Record<string, unknown> }
  t.same(Object.keys(auths), ['mirror.internal', ONE.name, OTHER.name])
  t.same(
    files.filter(({ secret }) => secret).map(({ path }) => path),
    ['~/.docker/config.json', ECR_NAMES],
  )
  t.same(test, [
    'docker pull mirror.internal/REPOSITORY:TAG',
    `DOCKER_CONFIG=~/.docker/ecr-names docker pull ${ONE.name}/REPOSITORY:TAG`,
  ])
  t.end()
})

t.test('an address is known where the URL has it', t => {
  t.equal(
    contentAt(docker(mirror({ url: 'https://10.0.0.7' })).files, '/etc/hosts'),
    `10.0.0.7 ${ONE.name} ${OTHER.name}\n`,
  )
  t.match(docker(mirror()).notes.join('\n'), 'MIRROR_ADDRESS stands for the address of mirror.internal.')
  t.end()
})

t.test(
  'over plain http: the mirror is an insecure registry, and the passwords are said to be readable',
  t => {
    const { files, notes } = docker(mirror(PLAIN))
    t.same(paths(files), ['~/.docker/config.json', DAEMON])
    t.same(JSON.parse(contentAt(files, DAEMON) ?? ''), { 'insecure-registries': ['mirror.internal:5000'] })
    t.match(notes.join('\n'), /passwords and images travel in the clear/)
    t.match(notes.join('\n'), /needs the mirror at https and port 443/, 'and ECR names cannot lead there')
    t.end()
  },
)

t.test('where the authority is not known, its file says what belongs there', t => {
  const { files } = docker(mirror({ authorityFor: () => undefined }))
  const lines = contentAt(files, '/etc/docker/certs.d/mirror.internal/ca.crt')?.trim().split('\n') ?? []
  t.ok(lines.length > 0 && lines.every(line => line.startsWith('# ')))
  t.end()
})

t.test('a name without a dot gets a port, or Docker would look for it at Docker Hub', t => {
  t.same(docker(mirror({ url: 'https://mirror' })).test[0], 'docker pull mirror:443/REPOSITORY:TAG')
  t.same(docker(mirror({ url: 'http://mirror' })).test[0], 'docker pull mirror:80/REPOSITORY:TAG')
  t.same(docker(mirror({ url: 'http://localhost' })).test[0], 'docker pull localhost/REPOSITORY:TAG')
  t.end()
})

t.test('without a default registry an image to try names one', t => {
  t.equal(docker(mirror({ registries: [OTHER] })).test[0], 'docker pull mirror.internal/other/REPOSITORY:TAG')
  t.end()
})

t.test('registry-mirrors', async t => {
  const settings = (registries: (typeof HUB)[], more = {}): unknown => {
    const content = contentAt(docker(mirror({ registries, ...more })).files, DAEMON)
    return content === undefined ? undefined : JSON.parse(content)
  }
  const open = { ...HUB, isOpen: true }
  const alias = { ...open, name: 'hub.mirror.internal' }

  t.equal(settings([ONE, HUB]), undefined, 'need a grant to anonymous')
  t.match(docker(mirror()).notes.join('\n'), 'hub needs a grant to anonymous')
  t.equal(settings([ONE, open]), undefined, 'and a name of its own')
  t.match(docker(mirror({ registries: [ONE, open] })).notes.join('\n'), 'let hub serve one more name')
  t.same(settings([ONE, open, alias]), { 'registry-mirrors': ['https://hub.mirror.internal'] })
  t.equal(
    contentAt(
      docker(mirror({ registries: [ONE, open, alias] })).files,
      '/etc/docker/certs.d/hub.mirror.internal/ca.crt',
    ),
    'PEM for hub.mirror.internal\n',
  )
  t.same(
    settings([ONE, open, { ...alias, name: 'hub.mirror.internal:81' }], {
      url: 'https://mirror.internal:8443',
    }),
    {
      'registry-mirrors': ['https://hub.mirror.internal:8443'],
    },
  )
  t.same(
    settings([{ ...open, isDefault: true }], { hasUsers: false }),
    { 'registry-mirrors': ['https://mirror.internal'] },
    'or, without users, to be the default',
  )
  t.equal(settings([{ ...open, isDefault: true }]), undefined)
  t.match(
    docker(mirror({ registries: [{ ...open, isDefault: true }] })).notes.join('\n'),
    /asks for a login under its own name.*let hub serve one more name/,
    'which does not do for a mirror with users',
  )
})
