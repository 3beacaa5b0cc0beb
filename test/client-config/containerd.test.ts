import t from 'tap'
import { containerd } from '../../src/client-config/containerd.js'
import { BASIC, contentAt, HUB, mirror, ONE, OTHER, paths, PLAIN } from './mirror.js'

const CERTS = '/etc/containerd/certs.d'

t.test('a directory for every name of a registry, and for the mirror', t => {
  const { files, test } = containerd(mirror())
  t.same(paths(files), [
    '/etc/containerd/config.toml',
    ...[ONE.name, OTHER.name, 'docker.io', 'mirror.internal'].flatMap(name => [
      `${CERTS}/${name}/hosts.toml`,
      `${CERTS}/${name}/ca.crt`,
    ]),
  ])
  t.match(
    contentAt(files, '/etc/containerd/config.toml'),
    '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
  )
  t.equal(contentAt(files, `${CERTS}/${OTHER.name}/ca.crt`), 'PEM for mirror.internal\n')
  t.ok(files.every(({ path, secret }) => secret === path.endsWith('hosts.toml')))
  t.same(test, [
    `ctr images pull --hosts-dir ${CERTS} ${ONE.name}/REPOSITORY:TAG`,
    `ctr images pull --hosts-dir ${CERTS} mirror.internal/REPOSITORY:TAG`,
  ])
  t.end()
})

t.test("pushes under the default registry's name need no more than pulls", t => {
  t.equal(
    contentAt(containerd(mirror()).files, `${CERTS}/${ONE.name}/hosts.toml`),
    `\
server = "https://mirror.internal"
capabilities = ["pull", "resolve"]
ca = "ca.crt"

[header]
Authorization = "Basic ${BASIC}"

[host."https://mirror.internal"]
capabilities = ["pull", "resolve", "push"]
ca = "ca.crt"

[host."https://mirror.internal".header]
Authorization = "Basic ${BASIC}"
`,
  )
  t.end()
})

t.test('pushes to another registry find it by a path, since containerd says ns in pulls alone', t => {
  const text = contentAt(containerd(mirror(PLAIN)).files, `${CERTS}/${OTHER.name}/hosts.toml`) ?? ''
  t.equal(
    text.slice(text.indexOf('[host.')),
    `\
[host."http://mirror.internal:5000"]
capabilities = ["pull", "resolve"]

[host."http://mirror.internal:5000".header]
Authorization = "Basic ${BASIC}"

[host."http://mirror.internal:5000/v2/other"]
capabilities = ["push"]
override_path = true

[host."http://mirror.internal:5000/v2/other".header]
Authorization = "Basic ${BASIC}"
`,
  )
  t.match(text, /^# .* travel in the clear/, 'plain HTTP is said to be readable')
  t.end()
})

t.test('nothing is pushed under a name that is not the host of the registry', t => {
  t.notMatch(contentAt(containerd(mirror()).files, `${CERTS}/${HUB.name}/hosts.toml`), 'push')
  t.end()
})

t.test('an authority that is not known is not referred to', t => {
  const { files } = containerd(mirror({ authorityFor: () => undefined }))
  t.notOk(paths(files).some(path => path.endsWith('ca.crt')))
  t.notOk(files.some(({ content }) => content.includes('ca = ')))
  t.end()
})
