import { stringify } from 'yaml'
import type { Client } from './client.js'
import { containerdFiles, containerdNotes } from './containerd.js'
import { dockerAuths } from './login.js'
import { mirrorName, sampleImage, sampleUnderItsName } from './mirror-name.js'
import { registriesFiles } from './podman.js'
import { toml } from './toml.js'

const SECRET = 'ecr-mirror'
const CRIO_AUTH = '/etc/crio/ecr-mirror-auth.json'

/** Nodes with containerd or CRI-O, and the secret for pods whose images have the mirror's own name. */
export const kubernetes: Client = mirror => {
  const auths = dockerAuths(mirror, [mirrorName(mirror)])
  const secret = stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: SECRET },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': auths },
  })
  const crio = toml([{ path: ['crio', 'image'], entries: { global_auth_file: CRIO_AUTH } }])
  const [first] = mirror.registries
  return {
    files: [
      { path: 'ecr-mirror-secret.yaml', content: secret, secret: true },
      ...containerdFiles(mirror),
      ...registriesFiles(mirror),
      { path: '/etc/crio/crio.conf.d/50-ecr-mirror.conf', content: crio, secret: false },
      { path: CRIO_AUTH, content: auths, secret: true },
    ],
    notes: [
      ...containerdNotes(mirror),
      `The secret is for pods whose images have the mirror's own name: kubectl apply -f ecr-mirror-secret.yaml in their namespace, and imagePullSecrets: [{ name: ${SECRET} }] in their specification. Images under their ECR names need none: the node logs in.`,
      'Of the files for nodes, /etc/containerd is for containerd, /etc/containers and /etc/crio are for CRI-O.',
    ],
    test: [
      ...(first ? [`crictl pull ${sampleUnderItsName(first)}`] : []),
      `kubectl run ecr-mirror-test --image=${sampleImage(mirror)} --overrides='{"spec":{"imagePullSecrets":[{"name":"${SECRET}"}]}}'`,
    ],
  }
}
