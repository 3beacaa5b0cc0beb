import t from 'tap'
import { buildkit } from '../../src/client-config/buildkit.js'
import { BASIC, contentAt, mirror, ONE, OTHER, paths, PLAIN } from './mirror.js'

const SETTINGS = '/etc/buildkit/buildkitd.toml'

t.test('over https: the mirror of every name, with its authority', t => {
  const { files, notes } = buildkit(mirror({ registries: [ONE, OTHER] }))
  t.same(paths(files), [SETTINGS, '/etc/buildkit/ecr-mirror-ca.crt', '~/.docker/config.json'])
  t.equal(
    contentAt(files, SETTINGS),
    `\
[registry."${ONE.name}"]
mirrors = ["mirror.internal"]

[registry."${OTHER.name}"]
mirrors = ["mirror.internal"]

[registry."mirror.internal"]
ca = ["/etc/buildkit/ecr-mirror-ca.crt"]
`,
  )
  t.same(JSON.parse(contentAt(files, '~/.docker/config.json') ?? ''), {
    auths: { 'mirror.internal': { auth: BASIC } },
  })
  t.match(notes.join('\n'), 'It cannot push by way of a mirror')
  t.end()
})

t.test('over plain http', t => {
  const text = contentAt(buildkit(mirror({ ...PLAIN, registries: [ONE] })).files, SETTINGS) ?? ''
  t.match(text, '[registry."mirror.internal:5000"]\nhttp = true\n')
  t.match(text, /^# .* travel in the clear/)
  t.end()
})

t.test('with an authority that everybody knows, nothing is said of how to reach the mirror', t => {
  const { files } = buildkit(mirror({ registries: [ONE], authorityFor: () => undefined }))
  t.notMatch(contentAt(files, SETTINGS), '[registry."mirror.internal"]')
  t.end()
})
