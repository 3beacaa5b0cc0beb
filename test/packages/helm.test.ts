import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { z } from 'zod'
import { loadConfig } from '../../src/config/load.js'
import { runClient, succeed } from '../clients/support/run-client.js'
import { isInstalled } from '../support/installed.js'
import { usersFile } from '../support/users.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const chart = `${root}deploy/helm/ecr-mirror`
const needsHelm = isInstalled('helm')
  ? {}
  : { skip: 'helm is missing here: .ci/run says where it comes from' }

/** Where Kubernetes' own types of each kind are; those of the Prometheus operator are below. */
const TYPES: Readonly<Record<string, string>> = {
  'v1 ConfigMap': 'kubernetes-types/core/v1',
  'v1 Secret': 'kubernetes-types/core/v1',
  'v1 Service': 'kubernetes-types/core/v1',
  'v1 ServiceAccount': 'kubernetes-types/core/v1',
  'apps/v1 StatefulSet': 'kubernetes-types/apps/v1',
  'networking.k8s.io/v1 Ingress': 'kubernetes-types/networking/v1',
  'networking.k8s.io/v1 NetworkPolicy': 'kubernetes-types/networking/v1',
  'policy/v1 PodDisruptionBudget': 'kubernetes-types/policy/v1',
  'monitoring.coreos.com/v1 ServiceMonitor': './prometheus-operator',
  'monitoring.coreos.com/v1 PrometheusRule': './prometheus-operator',
}

/** As far as this chart goes: https://prometheus-operator.dev/docs/api-reference/api/ */
const PROMETHEUS_OPERATOR = `
import type { LabelSelector, ObjectMeta } from 'kubernetes-types/meta/v1'
interface Relabeling {
  action?: string; sourceLabels?: string[]; targetLabel?: string; regex?: string; replacement?: string; separator?: string
}
interface Endpoint {
  port: string; path: string; interval: string; scrapeTimeout: string
  relabelings?: Relabeling[]; metricRelabelings?: Relabeling[]
}
interface Rule {
  alert?: string; record?: string; expr: string | number; for?: string
  labels?: Record<string, string>; annotations?: Record<string, string>
}
export interface ServiceMonitor {
  apiVersion: 'monitoring.coreos.com/v1'; kind: 'ServiceMonitor'; metadata: ObjectMeta
  spec: { selector: LabelSelector; endpoints: Endpoint[] }
}
export interface PrometheusRule {
  apiVersion: 'monitoring.coreos.com/v1'; kind: 'PrometheusRule'; metadata: ObjectMeta
  spec: { groups: { name: string; interval?: string; rules: Rule[] }[] }
}
`

const upstreams = [{ name: 'main', host: '123456789012.dkr.ecr.us-east-1.amazonaws.com' }]
const LEAST = { config: { upstreams }, users: { existingSecret: 'users' } }
const MOST = {
  replicaCount: 2,
  image: { repository: 'images.example/ecr-mirror', digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'pull' }],
  config: { upstreams, log: { level: 'debug' } },
  users: { htpasswd: await usersFile() },
  sessionKey: { existingSecret: 'session-key' },
  tls: { existingSecret: 'tls' },
  serviceAccount: {
    annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::123456789012:role/ecr-mirror' },
  },
  service: { type: 'LoadBalancer', port: 443, annotations: { one: 'two' } },
  ingress: {
    enabled: true,
    className: 'nginx',
    annotations: { 'nginx.ingress.kubernetes.io/proxy-body-size': '0' },
    hosts: ['mirror.example'],
    tlsSecret: 'ingress-tls',
  },
  persistence: { enabled: true, size: '1Ti', storageClass: 'gp3' },
  podDisruptionBudget: { enabled: true },
  networkPolicy: {
    enabled: true,
    registryFrom: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
    operationsFrom: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }],
    extraEgress: [{ ports: [{ port: 3128, protocol: 'TCP' }] }],
  },
  serviceMonitor: {
    enabled: true,
    labels: { release: 'prometheus' },
    relabelings: [{ action: 'labeldrop', regex: 'pod' }],
    metricRelabelings: [{ action: 'drop', regex: 'nodejs_.*', sourceLabels: ['__name__'] }],
  },
  prometheusRule: {
    enabled: true,
    groups: [{ name: 'mirror', rules: [{ alert: 'Down', expr: 'up == 0', for: '5m' }] }],
  },
  grafanaDashboard: { enabled: true, annotations: { folder: 'Registries' } },
  env: [{ name: 'AWS_REGION', value: 'us-east-1' }],
  envFrom: [{ secretRef: { name: 'aws' } }],
  extraVolumes: [{ name: 'more', emptyDir: {} }],
  extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
  podAnnotations: { a: 'b' },
  podLabels: { c: 'd' },
  nodeSelector: { 'kubernetes.io/arch': 'amd64' },
  tolerations: [{ operator: 'Exists' }],
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname' }],
    },
  },
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
  ],
  priorityClassName: 'system-cluster-critical',
}

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
})
type KubernetesObject = z.infer<typeof objectSchema>

/** What `helm template` makes of these values. */
async function render(t: Test, values: object) {
  const directory = t.testdir()
  const file = join(directory, 'values.yaml')
  await writeFile(file, stringify(values))
  const text = await succeed('helm', ['template', 'ecr-mirror', chart, '--values', file])
  const objects = parseAllDocuments(text)
    .map(document => document.toJS() as unknown)
    .filter(object => object !== null)
    .map(object => objectSchema.parse(object))
  return {
    objects,
    text,
    one: (kind: string): KubernetesObject => {
      const [found, another] = objects.filter(each => each.kind === kind)
      if (!found || another) throw new Error(`not one ${kind} but ${another ? 'several' : 'none'}`)
      return found
    },
  }
}

/** What the compiler says of the objects as literals of Kubernetes' types: unknown keys, wrong types, missing ones. */
async function typeErrors(t: Test, objects: readonly KubernetesObject[]): Promise<string[]> {
  // Within the project, where the types are found.
  const directory = join(root, '.tap', `kubernetes-${process.pid}`)
  await mkdir(directory, { recursive: true })
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const literals = objects.map((object, at) => {
    const from = TYPES[`${object.apiVersion} ${object.kind}`]
    if (from === undefined) throw new Error(`no types for ${object.apiVersion} ${object.kind}`)
    return `import type { ${object.kind} as Kind${at} } from '${from}'\nexport const object${at}: Kind${at} = ${JSON.stringify(object)}\n`
  })
  await writeFile(join(directory, 'prometheus-operator.ts'), PROMETHEUS_OPERATOR)
  const file = join(directory, 'objects.ts')
  await writeFile(file, literals.join(''))
  const program = ts.createProgram([file], {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  })
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

t.test('what it makes of the fewest and of all values is what Kubernetes takes', needsHelm, async t => {
  const least = await render(t, LEAST)
  const most = await render(t, MOST)
  const objects = [...least.objects, ...most.objects]
  const kinds = new Set(objects.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`))
  t.same([...kinds].sort(), Object.keys(TYPES).sort(), 'every kind is among them')
  for (const values of [LEAST, MOST]) {
    const directory = t.testdir({ 'values.yaml': stringify(values) })
    const args = ['--strict', '--quiet', '--values', join(directory, 'values.yaml')]
    await succeed('helm', ['lint', ...args, chart])
  }
  const templates = (await readdir(`${chart}/templates`)).filter(name => name.endsWith('.yaml'))
  for (const name of templates) t.match(most.text, `# Source: ecr-mirror/templates/${name}`)

  const misspelt = structuredClone(least.one('StatefulSet'))
  Object.assign(misspelt['spec'] as object, { replica: 1 })
  t.match(
    await typeErrors(t, [...objects, misspelt]),
    [/"replica"' does not exist in type 'StatefulSetSpec'/],
    'all that is wrong is a key that was put in to see it found',
  )
})

t.test('the mirror in it takes the configuration, from the file and the environment', needsHelm, async t => {
  for (const values of [LEAST, MOST]) {
    const { one, objects } = await render(t, values)
    const pod = podOf(one('StatefulSet'))
    const [container] = pod.containers
    const mounts = new Map(container.volumeMounts.map(({ mountPath, name }) => [mountPath, name]))
    const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
    // Every file that is named lies in something that is mounted, and every mount is of a volume that there is.
    for (const [name, value] of Object.entries(env))
      if (value.startsWith('/'))
        t.ok(
          [...mounts.keys()].some(path => value.startsWith(path)),
          `${name}=${value}`,
        )
    const volumes = new Set([...pod.volumes.map(({ name }) => name), 'cache'])
    for (const name of mounts.values()) t.ok(volumes.has(name), name)

    const { data } = z
      .object({ data: z.object({ 'mirror.yaml': z.string() }) })
      .parse(objects.find(each => each.kind === 'ConfigMap' && each.metadata.name === 'ecr-mirror'))
    const directory = t.testdir({ 'mirror.yaml': data['mirror.yaml'], 'session-key': 'sixteen characters' })
    if (env['ECR_MIRROR_UPLOADS_SESSIONKEY_FILE'] !== undefined)
      env['ECR_MIRROR_UPLOADS_SESSIONKEY_FILE'] = join(directory, 'session-key')
    const { config } = await loadConfig({ env, flags: { config: join(directory, 'mirror.yaml') } })
    t.match(config, {
      listen: [{ host: '0.0.0.0', port: 5000 }],
      operations: { listen: { host: '0.0.0.0', port: 5001 } },
      cache: { directory: '/var/cache/ecr-mirror' },
      users: { htpasswd: '/run/ecr-mirror/users/htpasswd' },
    })
    t.ok(
      pod.terminationGracePeriodSeconds * 1000 > config.limits.drainTimeout + 5000,
      'it may drain after what is before SIGTERM',
    )
    t.equal(config.tls.length, 'tls' in values ? 1 : 0)
  }
})

t.test(
  'it runs with as little as the image needs, and is asked how it is on the operations port',
  needsHelm,
  async t => {
    const { one } = await render(t, LEAST)
    const pod = podOf(one('StatefulSet'))
    t.match(pod, {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65532,
        fsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    })
    const [container] = pod.containers
    t.match(container, {
      securityContext: {
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      },
      ports: [
        { name: 'registry', containerPort: 5000 },
        { name: 'operations', containerPort: 5001 },
      ],
      startupProbe: { httpGet: { path: '/livez', port: 'operations' } },
      livenessProbe: { httpGet: { path: '/livez', port: 'operations' } },
      readinessProbe: { httpGet: { path: '/readyz', port: 'operations' } },
    })
    const dockerfile = await readFile(`${root}Dockerfile`, 'utf8')
    t.match(dockerfile, '\nUSER 65532:65532\n')
    t.match(dockerfile, `ENTRYPOINT ["${container.lifecycle.preStop.exec.command[0]}"`)
  },
)

t.test('IAM roles, dashboards and alerts reach what they are for', needsHelm, async t => {
  const { one, objects } = await render(t, MOST)
  t.match(one('ServiceAccount').metadata, {
    annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::123456789012:role/ecr-mirror' },
  })
  const dashboards = objects.find(each => each.metadata.name === 'ecr-mirror-dashboards')
  t.match(dashboards, {
    metadata: { labels: { grafana_dashboard: '1' }, annotations: { folder: 'Registries' } },
    data: { 'ecr-mirror.json': await readFile(`${root}deploy/grafana/ecr-mirror.json`, 'utf8') },
  })
  t.match(one('PrometheusRule'), { spec: { groups: MOST.prometheusRule.groups } })
  const rules = await render(t, { ...LEAST, prometheusRule: { enabled: true } })
  const { groups } = parse(await readFile(`${root}deploy/prometheus/alerts.yaml`, 'utf8')) as {
    groups: object[]
  }
  t.ok(groups.length > 0)
  t.match(rules.one('PrometheusRule'), { spec: { groups } }, 'its own alerts, unless others are given')
  const operations = objects.find(each => each.metadata.name === 'ecr-mirror-operations')
  const { labels } = z
    .object({ metadata: z.object({ labels: z.record(z.string(), z.string()) }) })
    .parse(operations).metadata
  const monitor = z
    .object({ spec: z.object({ selector: z.object({ matchLabels: z.record(z.string(), z.string()) }) }) })
    .parse(one('ServiceMonitor'))
  t.match(labels, monitor.spec.selector.matchLabels, 'Prometheus finds the operations port')
})

t.test('what cannot work is refused with what is wrong', needsHelm, async t => {
  const refused = async (values: object) => {
    const file = join(t.testdir(), 'values.yaml')
    await writeFile(file, stringify({ ...LEAST, ...values }))
    const { code, output } = await runClient('helm', ['template', 'ecr-mirror', chart, '--values', file])
    t.not(code, 0, JSON.stringify(values))
    return output
  }
  t.match(await refused({ config: { upstreams: [] } }), "'/config/upstreams': minItems")
  t.match(await refused({ config: { upstreams, listen: '0.0.0.0:80' } }), '/config/listen')
  t.match(await refused({ replicas: 2 }), "additional properties 'replicas' not allowed")
  t.match(await refused({ persistence: { size: '100GiB' } }), '/persistence/size')
  t.match(await refused({ ingress: { enabled: true } }), '/ingress/hosts')
  t.match(await refused({ image: { digest: 'latest' } }), '/image/digest')
  t.match(await refused({ replicaCount: 2 }), 'needs sessionKey.existingSecret')
})

t.test('its version, its values and its README are those of the mirror', async t => {
  const { version } = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { version: string }
  t.match(parse(await readFile(`${chart}/Chart.yaml`, 'utf8')), { version, appVersion: version })
  const schema = z
    .object({ properties: z.record(z.string(), z.unknown()) })
    .parse(JSON.parse(await readFile(`${chart}/values.schema.json`, 'utf8')))
  const values = z
    .record(z.string(), z.unknown())
    .parse(parse(await readFile(`${chart}/values.yaml`, 'utf8')))
  t.same(
    Object.keys(values).sort(),
    Object.keys(schema.properties)
      .filter(name => name !== 'global')
      .sort(),
  )
  const readme = await readFile(`${chart}/README.md`, 'utf8')
  const examples = [...readme.matchAll(/^```yaml\n(.*?)^```/gms)].map(
    ([, text = '']) => parse(text) as object,
  )
  t.equal(examples.length, 2)
  if (!needsHelm.skip)
    t.same(await typeErrors(t, (await render(t, Object.assign({}, ...examples))).objects), [])
})

function podOf(statefulSet: KubernetesObject) {
  return podSchema.parse(statefulSet).spec.template.spec
}

const podSchema = z.object({
  spec: z.object({
    template: z.object({
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.number(),
        volumes: z.array(z.looseObject({ name: z.string() })),
        containers: z.tuple([
          z.looseObject({
            env: z.array(z.object({ name: z.string(), value: z.string() })),
            volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
            lifecycle: z.object({
              preStop: z.object({ exec: z.object({ command: z.array(z.string()) }) }),
            }),
          }),
        ]),
      }),
    }),
  }),
})
