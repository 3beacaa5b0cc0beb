import t from 'tap'
import { podman } from '../../src/client-config/podman.js'
import { BASIC, contentAt, mirror, ONE, OTHER, paths, PLAIN } from './mirror.js'

const REGISTRIES = '/etc/containers/registries.conf.d/50-ecr-mirror.conf'

t.test('over https: names are rewritten, with a login and an authority for the mirror', t => {
  const { files, notes } = podman(mirror())
  t.same(paths(files), [
    REGISTRIES,
    '/etc/containers/certs.d/mirror.internal/ca.crt',
    '~/.config/containers/auth.json',
  ])
  t.equal(
    contentAt(files, REGISTRIES),
    `\
[[registry]]
prefix = "${ONE.name}"
location = "mirror.internal/one"

[[registry]]
prefix = "${OTHER.name}"
location = "mirror.internal/other"

[[registry]]
prefix = "docker.io"
location = "mirror.internal/hub"

[[registry]]
location = "mirror.internal"
`,
  )
  t.same(JSON.parse(contentAt(files, '~/.config/containers/auth.json') ?? ''), {
    auths: { 'mirror.internal': { auth: BASIC } },
  })
  t.match(notes.join('\n'), 'Pushes do not')
  t.match(notes.join('\n'), `${OTHER.name}/REPOSITORY is mirror.internal/other/REPOSITORY here.`)
  t.end()
})

t.test('over plain http every location is insecure, and said to be', t => {
  const { files } = podman(mirror(PLAIN))
  const text = contentAt(files, REGISTRIES) ?? ''
  t.equal(text.match(/^insecure = true$/gm)?.length, 4)
  t.match(text, /^# .* travel in the clear/)
  t.notOk(paths(files).some(path => path.endsWith('ca.crt')))
  t.end()
})
