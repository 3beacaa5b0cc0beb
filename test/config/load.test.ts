import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ConfigError } from '../../src/config/config-error.js'
import type { Environment } from '../../src/config/environment.js'
import type { Flags } from '../../src/config/flags.js'
import { filesBehind, loadConfig, loadOperationsAddress } from '../../src/config/load.js'
import type { Config } from '../../src/config/schema.js'

const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
const OTHER = '012345678901.dkr.ecr.eu-west-1.amazonaws.com'
const SMALL = `users: { htpasswd: users.htpasswd }\nupstreams: [{ name: main, host: ${HOST} }]\n`

interface Given {
  yaml?: string
  env?: Environment
  flags?: Flags
}

async function load(test: Test, { yaml = SMALL, env = {}, flags = {} }: Given): Promise<Config> {
  const directory = test.testdir({ 'mirror.yaml': yaml })
  const { config } = await loadConfig({ env, flags: { config: join(directory, 'mirror.yaml'), ...flags } })
  return config
}

/** The lines of the refusal, without the directory. */
async function refusal(test: Test, given: Given): Promise<string[]> {
  const directory = test.testdirName
  const error = await load(test, given).then(
    () => undefined,
    (cause: unknown) => cause,
  )
  if (!(error instanceof ConfigError)) throw new Error('expected a refusal', { cause: error })
  return error.lines.map(line => line.replaceAll(`${directory}/`, ''))
}

t.test('a small file is completed with the defaults, and nothing can be changed', async t => {
  const config = await load(t, {})
  t.same(config, {
    listen: [{ host: '0.0.0.0', port: 5000 }],
    trustedProxies: [],
    tls: [],
    operations: { listen: { host: '127.0.0.1', port: 5001 } },
    users: { htpasswd: join(t.testdirName, 'users.htpasswd'), plain: [] },
    upstreams: [
      {
        name: 'main',
        host: HOST,
        default: true,
        repositoryPrefix: '',
        serves: [],
        credentials: {},
        quotas: {},
      },
    ],
    uploads: {},
    tracing: { enabled: false },
    status: {},
    log: { level: 'info' },
    limits: {
      maxRequests: 2000,
      maxConnections: 10_000,
      maxConnectionsPerAddress: 2000,
      maxFills: 256,
      maxUpstreamConnections: 128,
      maxManifestMemory: 256 * 1024 * 1024,
      idleTimeout: 60_000,
      headersTimeout: 10_000,
      drainDelay: 5_000,
      drainTimeout: 25_000,
    },
  })
  t.throws(() => Object.assign(config.upstreams[0]!, { host: 'x' }), TypeError)
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.limits))
})

t.test('everything that can be said is understood', async t => {
  const config = await load(t, {
    yaml: `
listen: [127.0.0.1:5000, "[::1]:5000"]
publicUrl: https://mirror.internal/
trustedProxies: [10.0.0.7/32, "fd00::/8"]
tls: [{ certificate: a.crt, key: /keys/a.key }, { certificate: b.crt, key: b.key, clientCa: ca.crt }]
operations: { listen: 0.0.0.0:9090 }
policy: [{ principals: ["cert:builder", "*"], upstreams: [hub, "ma*"], repositories: ["team/**"], actions: [pull, push] }, { principals: [ops], actions: [status] }]
upstreams:
  - { name: main, host: ${HOST.toUpperCase()}, default: true, quotas: { PutImage: 20 } }
  - name: hub
    host: ${HOST}
    repositoryPrefix: docker-hub
    serves: [Docker.io, hub.internal:443]
    credentials: { roleArn: "arn:aws:iam::123456789012:role/x/y", externalId: abc, sessionName: me }
    endpoint: http://127.0.0.1:4000
    apiEndpoint: https://api.internal
    redirectHosts: ["*.s3.us-east-1.amazonaws.com", "127.0.0.1:9000"]
cache: { directory: cache, scrub: { every: never, rate: 512KiB/s } }
uploads: { sessionKey: 0123456789abcdef }
log: { level: debug, format: json }
limits: { drainTimeout: 1.5m, idleTimeout: 500ms, maxRequests: 1 }
`,
  })
  t.same(config.listen, [
    { host: '127.0.0.1', port: 5000 },
    { host: '::1', port: 5000 },
  ])
  t.equal(config.publicUrl, 'https://mirror.internal')
  t.same(
    config.tls.map(({ key }) => key),
    ['/keys/a.key', join(t.testdirName, 'b.key')],
  )
  t.equal(config.upstreams[0]?.host, HOST)
  t.same(config.upstreams[1]?.serves, ['docker.io', 'hub.internal'])
  t.equal(config.upstreams[1]?.endpoint, 'http://127.0.0.1:4000')
  t.equal(config.upstreams[1]?.credentials.externalId?.reveal(), 'abc')
  t.equal(config.uploads.sessionKey?.reveal(), '0123456789abcdef')
  t.same(config.cache?.scrub, { every: 'never', rate: 524_288 })
  t.match(config.limits, { drainTimeout: 90_000, idleTimeout: 500, maxRequests: 1 })
})

/** What is wrong in a file, and the only line that comes of it. `@` stands for the rest of a small file. */
const WRONG: readonly (readonly [name: string, yaml: string, line: string])[] = [
  [
    'a misspelled key',
    '@limits: { drainTimout: 5s }',
    'mirror.yaml:3:11 limits.drainTimout: unknown key (did you mean drainTimeout?)',
  ],
  ['a key far from any', '@wibble: 1', 'mirror.yaml:3:1 wibble: unknown key'],
  ['__proto__', '@__proto__: { listen: x }', 'mirror.yaml:3:1 __proto__: unknown key'],
  [
    'cache',
    '@cache: { directory: /x, shared: {} }',
    'mirror.yaml:3:25 cache.shared: this version does not have a shared cache yet; take the key out',
  ],
  [
    'coordination',
    '@coordination: {}',
    'mirror.yaml:3:1 coordination: this version does not have coordination of replicas yet; take the key out',
  ],
  [
    'a port alone',
    '@listen: 5000',
    'mirror.yaml:3:9 listen: found the number 5000, expected HOST:PORT such as 0.0.0.0:5000 or [::]:5000; in quotes it stays a text: "5000"',
  ],
  [
    'a port out of range in a list',
    '@listen: [127.0.0.1:1, 127.0.0.1:70000]',
    'mirror.yaml:3:23 listen[1]: found "127.0.0.1:70000", expected HOST:PORT such as 0.0.0.0:5000 or [::]:5000',
  ],
  [
    'an empty list',
    '@listen: []',
    'mirror.yaml:3:9 listen: found an empty list, expected a list that is not empty',
  ],
  [
    'a proxy that is no range',
    '@trustedProxies: [10.0.0.7]',
    'mirror.yaml:3:18 trustedProxies[0]: found "10.0.0.7", expected a range such as 10.0.0.0/8; a single address is 10.0.0.7/32',
  ],
  [
    'a prefix too long',
    '@trustedProxies: [10.0.0.7/33]',
    'mirror.yaml:3:18 trustedProxies[0]: found "10.0.0.7/33", expected a range such as 10.0.0.0/8; a single address is 10.0.0.7/32',
  ],
  [
    'proxies as a text',
    '@trustedProxies: 10.0.0.0/8',
    'mirror.yaml:3:17 trustedProxies: found "10.0.0.0/8", expected a list',
  ],
  [
    'a client authority without a certificate',
    '@tls: { clientCa: ca.crt, key: a.key }',
    'mirror.yaml:3:6 tls.certificate: missing, expected the path of a file',
  ],
  ['nothing after a key', '@log:', 'mirror.yaml:3:5 log: found nothing, expected a mapping of level, format'],
  [
    'another level',
    '@log: { level: loud }',
    'mirror.yaml:3:15 log.level: found "loud", expected one of trace, debug, info, warn, error, fatal, silent',
  ],
  [
    'a duration without unit',
    '@limits: { drainTimeout: 25 }',
    'mirror.yaml:3:25 limits.drainTimeout: found the number 25, expected a duration such as 500ms, 25s, 10m or 24h; in quotes it stays a text: "25"',
  ],
  [
    'a duration of another unit',
    '@limits: { drainTimeout: 25 weeks }',
    'mirror.yaml:3:25 limits.drainTimeout: found "25 weeks", expected a duration such as 500ms, 25s, 10m or 24h',
  ],
  [
    'no requests at all',
    '@limits: { maxRequests: 0 }',
    'mirror.yaml:3:24 limits.maxRequests: found the number 0, expected a whole number, at least 1',
  ],
  [
    'a short session key, which is not shown',
    '@uploads: { sessionKey: hunter2 }',
    'mirror.yaml:3:24 uploads.sessionKey: found a value that is not shown here, expected a secret of at least 16 characters, e.g. from: openssl rand -base64 32',
  ],
  [
    'a secret in the place of a mapping',
    '@uploads: hunter2hunter2hunter2',
    'mirror.yaml:3:10 uploads: found a text, expected a mapping of sessionKey',
  ],
  [
    'a scrub at no speed',
    '@cache: { directory: /x, scrub: { rate: 0MiB/s } }',
    'mirror.yaml:3:40 cache.scrub.rate: found "0MiB/s", expected a rate such as 20MiB/s, more than 0',
  ],
  [
    'a rate that is a size',
    '@cache: { directory: /x, scrub: { rate: 20MiB } }',
    'mirror.yaml:3:40 cache.scrub.rate: found "20MiB", expected a rate such as 20MiB/s, more than 0',
  ],
  [
    'a scrub without end',
    '@cache: { directory: /x, scrub: { every: 0s } }',
    'mirror.yaml:3:41 cache.scrub.every: found "0s", expected a duration such as 24h, more than 0, or never',
  ],
  [
    'a public URL with a path',
    '@publicUrl: https://me:hunter2@mirror.internal/x',
    'mirror.yaml:3:12 publicUrl: found "https://…@mirror.internal/x", expected http(s)://HOST or http(s)://HOST:PORT, without path, query or user',
  ],
  [
    'the same key twice',
    '@log: { level: info }\nlog: { level: warn }',
    'mirror.yaml:4:1 is not valid YAML: Map keys must be unique',
  ],
  ['an unknown anchor', '@log: *base', 'mirror.yaml: too many aliases, or one that has no anchor'],
  ['a list as a whole', '- a', 'mirror.yaml: found no mapping, expected keys such as listen: 0.0.0.0:5000'],
  [
    'an unquoted account as a name',
    `users: { htpasswd: u }\nupstreams:\n  - name: 012345678901\n    host: ${HOST}`,
    'mirror.yaml:3:11 upstreams[0].name: found the number 012345678901, expected a name such as main or eu-west, in lower case, which does not look like a host; in quotes it stays a text: "012345678901"',
  ],
  [
    'no upstream',
    'users: { htpasswd: u }',
    'mirror.yaml upstreams: missing, expected a list of at least one upstream; for a quick start: --registry HOST',
  ],
  [
    'nobody who could log in',
    `upstreams: [{ name: a, host: ${HOST} }]`,
    'mirror.yaml users: nobody could log in; expected users.htpasswd, ECR_MIRROR_USERS="name:password", or a grant to anonymous or to a certificate',
  ],
  [
    'a certificate in a grant that no client can show',
    '@policy: [{ principals: ["cert:x"], actions: [pull] }]',
    'mirror.yaml:3:25 policy[0].principals[0]: found "cert:x", but without tls.clientCa no client can show a certificate',
  ],
  [
    'a grant on an unknown upstream',
    '@policy: [{ principals: [ci], upstreams: [mian], actions: [pull] }]',
    'mirror.yaml:3:42 policy[0].upstreams[0]: found "mian", expected the name of an upstream: main',
  ],
  [
    'an action that does not exist',
    '@policy: [{ principals: [ci], actions: [read] }]',
    'mirror.yaml:3:40 policy[0].actions[0]: found "read", expected one of pull, push, delete, catalog, status',
  ],
  [
    'a pattern that no repository fits',
    '@policy: [{ principals: [ci], repositories: [/team/], actions: [pull] }]',
    'mirror.yaml:3:45 policy[0].repositories[0]: found "/team/", expected a repository pattern such as team/** or library/nginx',
  ],
  [
    'an operations port that clients have already',
    '@operations: { listen: 127.0.0.1:5000 }',
    'mirror.yaml:3:23 operations.listen: found an address where clients connect already; expected another port',
  ],
]

for (const [name, yaml, line] of WRONG) {
  t.test(`refused with a line that helps: ${name}`, async t => {
    t.same(await refusal(t, { yaml: yaml.replace('@', SMALL) }), [line])
  })
}

/** Upstreams that are wrong, as the entries of the list, one a line from line 3 on. */
const WRONG_UPSTREAMS: readonly (readonly [name: string, entries: string[], line: string])[] = [
  [
    'a host that is no ECR host',
    ['{ name: a, host: registry-1.docker.io }'],
    'mirror.yaml:3:22 upstreams[0].host: found "registry-1.docker.io", expected an ECR host such as 123456789012.dkr.ecr.us-east-1.amazonaws.com, or public.ecr.aws',
  ],
  [
    'a host with a look-alike suffix',
    [`{ name: a, host: ${HOST}.evil.example }`],
    `mirror.yaml:3:22 upstreams[0].host: found "${HOST}.evil.example", expected an ECR host such as 123456789012.dkr.ecr.us-east-1.amazonaws.com, or public.ecr.aws`,
  ],
  [
    'a name that looks like a host',
    [`{ name: docker.io, host: ${HOST} }`],
    'mirror.yaml:3:13 upstreams[0].name: found "docker.io", expected a name such as main or eu-west, in lower case, which does not look like a host',
  ],
  [
    'two defaults',
    [`{ name: a, host: ${HOST}, default: true }`, `{ name: b, host: ${OTHER}, default: true }`],
    'mirror.yaml:4:77 upstreams[1].default: found true, but "a" is the default already; there can be one',
  ],
  [
    'a name twice',
    [`{ name: a, host: ${HOST} }`, `{ name: a, host: ${OTHER} }`],
    'mirror.yaml:4:13 upstreams[1].name: found "a" a second time; names must differ',
  ],
  [
    'a host twice without prefix',
    [`{ name: a, host: ${HOST} }`, `{ name: b, host: ${HOST} }`],
    'mirror.yaml:4:22 upstreams[1].host: found the host of "a" again; of upstreams that share a host only one can be without repositoryPrefix',
  ],
  [
    'a name served by two',
    [
      `{ name: a, host: ${HOST}, serves: [docker.io] }`,
      `{ name: b, host: ${OTHER}, serves: ["docker.io:443"] }`,
    ],
    'mirror.yaml:4:77 upstreams[1].serves[0]: found docker.io, which means "a" already',
  ],
  [
    "another's host served",
    [`{ name: a, host: ${HOST}, serves: [${OTHER}] }`, `{ name: b, host: ${OTHER} }`],
    `mirror.yaml:3:77 upstreams[0].serves[0]: found ${OTHER}, which means "b" already`,
  ],
  [
    'a malformed role',
    [`{ name: a, host: ${HOST}, credentials: { roleArn: "arn:aws:iam::1:role/x" } }`],
    'mirror.yaml:3:92 upstreams[0].credentials.roleArn: found "arn:aws:iam::1:role/x", expected a role such as arn:aws:iam::123456789012:role/ecr-mirror',
  ],
  [
    'an external id without a role',
    [`{ name: a, host: ${HOST}, credentials: { externalId: hunter2 } }`],
    'mirror.yaml:3:95 upstreams[0].credentials.externalId: is of no use without roleArn; expected roleArn beside it',
  ],
  [
    'an endpoint with a path',
    [`{ name: a, host: ${HOST}, endpoint: "https://x/v2" }`],
    'mirror.yaml:3:78 upstreams[0].endpoint: found "https://x/v2", expected http(s)://HOST or http(s)://HOST:PORT, without path, query or user',
  ],
  [
    'an endpoint with a query',
    [`{ name: a, host: ${HOST}, endpoint: "https://x?y" }`],
    'mirror.yaml:3:78 upstreams[0].endpoint: found "https://x…", expected http(s)://HOST or http(s)://HOST:PORT, without path, query or user',
  ],
  [
    'a redirect host with a scheme',
    [`{ name: a, host: ${HOST}, redirectHosts: ["https://x"] }`],
    'mirror.yaml:3:84 upstreams[0].redirectHosts[0]: found "https://x", expected a host such as *.s3.eu-west-1.amazonaws.com or 127.0.0.1:9000',
  ],
  [
    'a quota of an unknown action',
    [`{ name: a, host: ${HOST}, quotas: { PutImages: 1 } }`],
    'mirror.yaml:3:78 upstreams[0].quotas.PutImages: unknown key (did you mean PutImage?)',
  ],
  [
    'a quota of nothing',
    [`{ name: a, host: ${HOST}, quotas: { PutImage: 0 } }`],
    'mirror.yaml:3:88 upstreams[0].quotas.PutImage: found the number 0, expected requests per second, more than 0',
  ],
  [
    'a prefix with a slash at its end',
    [`{ name: a, host: ${HOST}, repositoryPrefix: docker-hub/ }`],
    'mirror.yaml:3:86 upstreams[0].repositoryPrefix: found "docker-hub/", expected a path such as docker-hub, without a slash at its ends',
  ],
]

for (const [name, entries, line] of WRONG_UPSTREAMS) {
  t.test(`upstreams refused with a line that helps: ${name}`, async t => {
    const yaml = `users: { htpasswd: u }\nupstreams:\n${entries.map(entry => `  - ${entry}\n`).join('')}`
    t.same(await refusal(t, { yaml }), [line])
  })
}

t.test(
  'upstreams that share a host with different prefixes, and several without a default, are fine',
  async t => {
    const { upstreams } = await load(t, {
      yaml: `users: { htpasswd: u }
upstreams:
  - { name: a, host: ${HOST}, repositoryPrefix: x }
  - { name: b, host: ${HOST}, repositoryPrefix: y }
  - { name: c, host: ${HOST} }`,
    })
    t.same(
      upstreams.map(upstream => upstream.default),
      [false, false, false],
    )
  },
)

t.test('everything that is wrong is told at once', async t => {
  const lines = await refusal(t, { yaml: `${SMALL}listen: x\nlogg: {}\nlog: { level: y }` })
  t.same(lines.map(line => line.split(' ')[1]).sort(), ['listen:', 'log.level:', 'logg:'])
})

t.test('what a YAML error stands in is not shown', async t => {
  const [line = ''] = await refusal(t, { yaml: `uploads:\n  sessionKey: "hunter2hunter2\n listen: x` })
  t.match(line, /^mirror\.yaml:\d+:\d+ is not valid YAML: /)
  t.notMatch(line, /hunter2/)
})

t.test('nobody has to log in where a grant names anonymous', async t => {
  const yaml = `policy: [{ principals: [anonymous], actions: [pull] }]\nupstreams: [{ name: a, host: ${HOST} }]`
  t.match(await load(t, { yaml }), { users: { plain: [] } })
})

t.test('JSON is understood', async t => {
  const yaml = JSON.stringify({ users: { htpasswd: '/u' }, upstreams: [{ name: 'a', host: HOST }] }, null, 2)
  t.match(await load(t, { yaml }), { users: { htpasswd: '/u' }, upstreams: [{ name: 'a', host: HOST }] })
})

t.test('flags beat the environment, which beats the file, key by key', async t => {
  const yaml = `${SMALL}listen: 127.0.0.1:1\nlog: { level: error, format: json }\nlimits: { maxRequests: 7 }`
  const env = { ECR_MIRROR_LISTEN: '127.0.0.1:2', ECR_MIRROR_LOG_LEVEL: 'warn' }
  const config = await load(t, { yaml, env, flags: { listen: '127.0.0.1:3' } })
  t.same(config.listen, [{ host: '127.0.0.1', port: 3 }])
  t.same(config.log, { level: 'warn', format: 'json' })
  t.equal(config.limits.maxRequests, 7)
})

t.test('an error in the environment or a flag names it', async t => {
  t.same(await refusal(t, { env: { ECR_MIRROR_LIMITS_MAXREQUESTS: 'many' } }), [
    'ECR_MIRROR_LIMITS_MAXREQUESTS limits.maxRequests: found "many", expected a whole number, at least 1',
  ])
  t.same(await refusal(t, { flags: { listen: 'x', logLevel: 'y', registry: ['docker.io'] } }), [
    '--listen listen: found "x", expected HOST:PORT such as 0.0.0.0:5000 or [::]:5000',
    '--registry upstreams[0].host: found "docker.io", expected an ECR host such as 123456789012.dkr.ecr.us-east-1.amazonaws.com, or public.ecr.aws',
    '--log-level log.level: found "y", expected one of trace, debug, info, warn, error, fatal, silent',
  ])
})

t.test('registries of the command line replace the configured ones, the first is the default', async t => {
  const fips = HOST.replace('.ecr.', '.ecr-fips.')
  const { upstreams } = await load(t, { flags: { registry: [OTHER, HOST, fips] } })
  t.same(
    upstreams.map(({ name, host, default: isDefault }) => [name, host, isDefault]),
    [
      ['012345678901-eu-west-1', OTHER, true],
      ['123456789012-us-east-1', HOST, false],
      ['123456789012-us-east-1-fips', fips, false],
    ],
  )
})

t.test('ECR Public is called public', async t => {
  const { upstreams } = await load(t, { flags: { registry: [HOST, 'public.ecr.aws'] } })
  t.match(upstreams[1], { name: 'public', host: 'public.ecr.aws', default: false })
})

t.test('what a push creates is as the file says, and nothing that cannot be', async t => {
  const file = (createRepositories: object, host: string = HOST) => ({
    users: { htpasswd: 'u' },
    upstreams: [{ name: 'a', host, createRepositories }],
  })
  const whole = {
    match: ['team/**'],
    tagMutability: 'IMMUTABLE',
    scanOnPush: true,
    encryption: { type: 'KMS', key: 'arn:aws:kms:us-east-1:123456789012:key/1' },
    tags: { owner: 'platform' },
  }
  const { upstreams } = await load(t, { yaml: JSON.stringify(file(whole)) })
  t.match(upstreams[0]?.createRepositories, whole)
  const problems: readonly (readonly [object, RegExp])[] = [
    [file({}), /createRepositories\.match: missing, expected a list/],
    [file({ match: [] }), /createRepositories\.match/],
    [file({ match: ['a'], tagMutability: 'SOMETIMES' }), /tagMutability: found "SOMETIMES"/],
    [
      file({ match: ['a'], encryption: { type: 'AES256', key: 'k' } }),
      /encryption\.key: is of no use with AES256/,
    ],
    [file({ match: ['a'] }, 'public.ecr.aws'), /repositories of ECR Public are not created on push/],
  ]
  for (const [data, message] of problems)
    t.match((await refusal(t, { yaml: JSON.stringify(data) })).join('\n'), message)
})

t.test('one registry and users from the environment are enough', async t => {
  const { config, file } = await loadConfig({
    env: { ECR_MIRROR_USERS: 'ci:a:b, dev:c' },
    flags: { registry: [HOST] },
    defaultFile: join(t.testdir(), 'none.yaml'),
  })
  t.equal(file, undefined)
  t.equal(config.upstreams[0]?.default, true)
  t.same(
    config.users.plain.map(({ name, password }) => [name, password.reveal()]),
    [
      ['ci', 'a:b'],
      ['dev', 'c'],
    ],
  )
})

t.test('the file is the flag, then ECR_MIRROR_CONFIG, then the usual place if there is one', async t => {
  const directory = t.testdir({ 'a.yaml': SMALL, 'b.yaml': SMALL, 'c.yaml': SMALL })
  const [a, b, c] = ['a', 'b', 'c'].map(name => join(directory, `${name}.yaml`))
  const env = { ECR_MIRROR_CONFIG: b }
  t.equal((await loadConfig({ env, flags: { config: a }, defaultFile: c! })).file, a)
  t.equal((await loadConfig({ env, flags: {}, defaultFile: c! })).file, b)
  t.equal((await loadConfig({ env: {}, flags: {}, defaultFile: c! })).file, c)
  await t.rejects(
    loadConfig({ env: {}, flags: { config: join(directory, 'x') } }),
    /x: cannot be read: ENOENT$/,
  )
})

t.test('each path is relative to the file or, from elsewhere, to the working directory', async t => {
  const config = await load(t, {
    yaml: `${SMALL}tls: { certificate: tls.crt, key: tls.key }`,
    env: { ECR_MIRROR_TLS_KEY: 'my.key' },
  })
  t.same(config.tls, [{ certificate: join(t.testdirName, 'tls.crt'), key: join(process.cwd(), 'my.key') }])
})

t.test('the files behind a configuration are all that it names', async t => {
  const file = join(t.testdir({ 'm.yaml': `${SMALL}tls: { certificate: c, key: k, clientCa: a }` }), 'm.yaml')
  const loaded = await loadConfig({ env: {}, flags: { config: file } })
  t.same(
    filesBehind(loaded),
    ['m.yaml', 'users.htpasswd', 'c', 'k', 'a'].map(name => join(t.testdirName, name)),
  )
})

t.test('the operations address can be told from settings that are not whole', async t => {
  const file = join(t.testdir({ 'm.yaml': 'operations: { listen: 127.0.0.1:7 }\n' }), 'm.yaml')
  t.same(await loadOperationsAddress({ env: {}, flags: { config: file } }), { host: '127.0.0.1', port: 7 })
  const env = { ECR_MIRROR_OPERATIONS_LISTEN: 'x' }
  await t.rejects(
    loadOperationsAddress({ env, flags: { config: file } }),
    /ECR_MIRROR_OPERATIONS_LISTEN operations.listen: found "x"/,
  )
})

for (const name of ['minimal', 'two-accounts', 'full']) {
  t.test(`the example ${name}.yaml loads`, async t => {
    const { config } = await loadConfig({ env: {}, flags: { config: `config/${name}.yaml` } })
    t.equal(config.users.htpasswd, join(process.cwd(), 'config/users.htpasswd'))
    t.equal(config.upstreams.filter(upstream => upstream.default).length, 1)
  })
}

t.test('what a transfer costs is a number of dollars, and is not made up where nobody says it', async t => {
  const load = async (status: string, env = {}) => {
    const directory = t.testdir({
      'mirror.yaml': `users: { htpasswd: u }
upstreams: [{ name: a, host: 123456789012.dkr.ecr.us-east-1.amazonaws.com }]
${status}
`,
    })
    return (await loadConfig({ env, flags: { config: join(directory, 'mirror.yaml') } })).config.status
  }
  t.same(await load(''), {})
  t.same(await load('status: { transferPrice: 0.09 }'), { transferPrice: 0.09 })
  t.same(await load('', { ECR_MIRROR_STATUS_TRANSFERPRICE: '0.02' }), { transferPrice: 0.02 })
  for (const wrong of ['-1', 'free', '.inf', 'true'])
    await t.rejects(load(`status: { transferPrice: ${wrong} }`), {
      message: /status\.transferPrice: .*US dollars for a GB/,
    })
})

t.test('full.yaml names every key, and loads with those that are commented out', async t => {
  const text = readFileSync('config/full.yaml', 'utf8').replaceAll(
    /^( *)# (?=(?: {2})?[a-zA-Z]+:(?: [^ ]+| \{.*\}| \[.*\])?(?: #.*)?$)/gm,
    '$1',
  )
  const directory = t.testdir({ 'full.yaml': text.replace('<secret>', 'x'.repeat(20)) })
  const { config } = await loadConfig({ env: {}, flags: { config: join(directory, 'full.yaml') } })
  const { outline } = await import('../../src/config/outline.js')
  for (const key of outline.keys.keys()) t.ok(key in config, key)
  for (const key of outline.keys.get('upstreams')!.item!.keys.keys()) t.ok(key in config.upstreams[0]!, key)
  t.same(Object.keys(config.upstreams[0]!.credentials), ['profile', 'roleArn', 'externalId', 'sessionName'])
})

t.test("AWS's own variables name the API where the configuration does not", async t => {
  const directory = t.testdir({
    'mirror.yaml': `users: { htpasswd: u }
upstreams:
  - { name: a, host: 123456789012.dkr.ecr-fips.us-east-1.amazonaws.com, default: true }
  - { name: b, host: 123456789012.dkr.ecr.eu-west-1.amazonaws.com, apiEndpoint: https://own.example }
  - { name: c, host: public.ecr.aws }
`,
  })
  const endpoints = async (env: Record<string, string>) => {
    const { config } = await loadConfig({ env, flags: { config: join(directory, 'mirror.yaml') } })
    return config.upstreams.map(({ apiEndpoint }) => apiEndpoint)
  }
  const all = { AWS_ENDPOINT_URL: 'http://all' }
  const own = 'https://own.example'
  t.same(await endpoints({}), [undefined, own, undefined])
  t.same(await endpoints(all), ['http://all', own, 'http://all'])
  t.same(await endpoints({ ...all, AWS_ENDPOINT_URL_ECR: 'http://ecr' }), ['http://ecr', own, 'http://all'])
  t.same(await endpoints({ ...all, AWS_ENDPOINT_URL_ECR_PUBLIC: 'http://public' }), [
    'http://all',
    own,
    'http://public',
  ])
})
