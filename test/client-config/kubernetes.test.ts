import t from 'tap'
import { parse } from 'yaml'
import { kubernetes } from '../../src/client-config/kubernetes.js'
import { BASIC, contentAt, mirror, ONE, paths, PLAIN } from './mirror.js'

t.test('a secret for pods, and files for nodes of both kinds', t => {
  for (const more of [{}, PLAIN]) {
    const of = mirror(more)
    const name = new URL(of.url).host
    const { files } = kubernetes(of)
    const secret: unknown = parse(contentAt(files, 'ecr-mirror-secret.yaml') ?? '')
    t.match(secret, { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/dockerconfigjson' })
    const { stringData } = secret as { stringData: Record<string, string> }
    t.same(JSON.parse(stringData['.dockerconfigjson'] ?? ''), { auths: { [name]: { auth: BASIC } } })
    for (const path of [
      '/etc/containerd/config.toml',
      `/etc/containerd/certs.d/${ONE.name}/hosts.toml`,
      '/etc/containers/registries.conf.d/50-ecr-mirror.conf',
    ])
      t.ok(paths(files).includes(path), path)
    t.equal(
      contentAt(files, '/etc/crio/crio.conf.d/50-ecr-mirror.conf'),
      '[crio.image]\nglobal_auth_file = "/etc/crio/ecr-mirror-auth.json"\n',
    )
    t.match(contentAt(files, '/etc/crio/ecr-mirror-auth.json'), BASIC)
  }
  t.end()
})
