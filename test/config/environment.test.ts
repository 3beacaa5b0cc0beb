import { join } from 'node:path'
import t from 'tap'
import { ConfigError } from '../../src/config/config-error.js'
import { ENVIRONMENT_FORMS, readEnvironment, type Environment } from '../../src/config/environment.js'
import { valueAt } from '../../src/config/layer.js'

async function refusal(env: Environment): Promise<readonly string[]> {
  const error = await readEnvironment(env).catch((cause: unknown) => cause)
  if (error instanceof ConfigError) return error.lines
  throw new Error('expected a refusal', { cause: error })
}

t.test('every setting outside lists has a form', t => {
  t.same(
    ENVIRONMENT_FORMS.map(({ name, kind, file }) => `${name} ${kind}${file ? ' or file' : ''}`),
    [
      'ECR_MIRROR_LISTEN list',
      'ECR_MIRROR_PUBLICURL text',
      'ECR_MIRROR_TRUSTEDPROXIES list',
      'ECR_MIRROR_TLS_CERTIFICATE text',
      'ECR_MIRROR_TLS_KEY text',
      'ECR_MIRROR_TLS_CLIENTCA text',
      'ECR_MIRROR_OPERATIONS_LISTEN text',
      'ECR_MIRROR_USERS_HTPASSWD text',
      'ECR_MIRROR_POLICY json',
      'ECR_MIRROR_UPSTREAMS json',
      'ECR_MIRROR_CACHE_DIRECTORY text',
      'ECR_MIRROR_CACHE_MAXSIZE text',
      'ECR_MIRROR_CACHE_MINFREE text',
      'ECR_MIRROR_CACHE_VERIFY text',
      'ECR_MIRROR_CACHE_FILLONRANGE text',
      'ECR_MIRROR_CACHE_DOWNLOAD_PARTS number',
      'ECR_MIRROR_CACHE_DOWNLOAD_PARTSIZE text',
      'ECR_MIRROR_CACHE_SCRUB_EVERY text',
      'ECR_MIRROR_CACHE_SCRUB_RATE text',
      'ECR_MIRROR_CACHE_TAGS_TTL text',
      'ECR_MIRROR_CACHE_TAGS_IMMUTABLE list',
      'ECR_MIRROR_CACHE_TAGS_STALEFOR text',
      'ECR_MIRROR_CACHE_MEMBERSHIP_TTL text',
      'ECR_MIRROR_CACHE_MEMBERSHIP_STALEFOR text',
      'ECR_MIRROR_UPLOADS_SESSIONKEY text or file',
      'ECR_MIRROR_AUDIT_FILE text',
      'ECR_MIRROR_TRACING_ENABLED boolean',
      'ECR_MIRROR_STATUS_TRANSFERPRICE number',
      'ECR_MIRROR_LOG_LEVEL text',
      'ECR_MIRROR_LOG_FORMAT text',
      'ECR_MIRROR_LIMITS_MAXREQUESTS number',
      'ECR_MIRROR_LIMITS_MAXCONNECTIONS number',
      'ECR_MIRROR_LIMITS_MAXCONNECTIONSPERADDRESS number',
      'ECR_MIRROR_LIMITS_MAXFILLS number',
      'ECR_MIRROR_LIMITS_MAXUPSTREAMCONNECTIONS number',
      'ECR_MIRROR_LIMITS_MAXMANIFESTMEMORY text',
      'ECR_MIRROR_LIMITS_IDLETIMEOUT text',
      'ECR_MIRROR_LIMITS_HEADERSTIMEOUT text',
      'ECR_MIRROR_LIMITS_DRAINDELAY text',
      'ECR_MIRROR_LIMITS_DRAINTIMEOUT text',
    ],
  )
  t.end()
})

const WRITTEN = { text: '12', number: '12', boolean: 'true', list: 'a, b', json: '[{"a": 1}]' } as const
const UNDERSTOOD = { text: '12', number: 12, boolean: true, list: ['a', 'b'], json: [{ a: 1 }] } as const

for (const { name, path, kind, file } of ENVIRONMENT_FORMS) {
  t.test(`${name} sets ${path.join('.')}`, async t => {
    const { layer } = await readEnvironment({ [name]: WRITTEN[kind] })
    t.same(valueAt(layer.data, path), UNDERSTOOD[kind])
    t.match(layer.locate(path), new RegExp(`^${name}(?::1:1)?$`))
    if (!file) return
    const directory = t.testdir({ secret: '12\n' })
    const fromFile = await readEnvironment({ [`${name}_FILE`]: join(directory, 'secret') })
    t.equal(valueAt(fromFile.layer.data, path), '12', 'without the line end')
    t.equal(fromFile.layer.locate(path), `${name}_FILE`)
  })
}

t.test('users come from the variable or a file', async t => {
  const file = join(t.testdir({ users: 'ci:a b\ndev:c\n' }), 'users')
  const { plainUsers } = await readEnvironment({ ECR_MIRROR_USERS_FILE: file })
  t.same(
    plainUsers.map(({ name, password }) => [name, password.reveal()]),
    [
      ['ci', 'a b'],
      ['dev', 'c'],
    ],
  )
  t.same((await readEnvironment({})).plainUsers, [])
})

t.test('users that are wrong are counted and never shown', async t => {
  const lines = await refusal({
    ECR_MIRROR_USERS: 'ci:ok,hunter2,:hunter2,dev:,anonymous:hunter2,a/b:hunter2',
  })
  const form = 'expected name:password, with no comma in either'
  t.same(lines, [
    `ECR_MIRROR_USERS: user 2: found no name; ${form}`,
    `ECR_MIRROR_USERS: user 3: found no name; ${form}`,
    `ECR_MIRROR_USERS: user 4: The password is empty; ${form}`,
    `ECR_MIRROR_USERS: user 5: "anonymous" stands for those who do not log in and cannot be a user name; ${form}`,
    `ECR_MIRROR_USERS: user 6: a user name has 1 to 64 of the characters A-Z a-z 0-9 . _ @ -; ${form}`,
  ])
  t.same(await refusal({ ECR_MIRROR_USERS: ' , ' }), [
    'ECR_MIRROR_USERS: found no user, expected name:password,name:password',
  ])
})

t.test('an unknown name is refused with what was probably meant', async t => {
  t.same(
    await refusal({
      ECR_MIRROR_LOGLEVEL: 'info',
      ECR_MIRROR_WIBBLE: 'x',
      ECR_MIRROR_CACHE_SHARED_BUCKET: 'b',
    }),
    [
      'ECR_MIRROR_LOGLEVEL: unknown setting (did you mean ECR_MIRROR_LOG_LEVEL?)',
      'ECR_MIRROR_WIBBLE: unknown setting',
      'ECR_MIRROR_CACHE_SHARED_BUCKET: this version does not have a shared cache yet; unset it',
    ],
  )
})

t.test(
  'what Kubernetes injects, the name of the file, other names and empty values are left alone',
  async t => {
    const { layer } = await readEnvironment({
      ECR_MIRROR_SERVICE_HOST: '10.0.0.1',
      ECR_MIRROR_SERVICE_PORT_HTTP: '5000',
      ECR_MIRROR_PORT: 'tcp://10.0.0.1:5000',
      ECR_MIRROR_PORT_5000_TCP_ADDR: '10.0.0.1',
      ECR_MIRROR_CONFIG: '/x',
      ECR_MIRROR_LISTEN: '',
      AWS_REGION: 'us-east-1',
    })
    t.same(layer.data, {})
  },
)

t.test('a secret and its file exclude each other, and a file that is not there is named', async t => {
  t.same(await refusal({ ECR_MIRROR_UPLOADS_SESSIONKEY: 'x', ECR_MIRROR_UPLOADS_SESSIONKEY_FILE: '/y' }), [
    'ECR_MIRROR_UPLOADS_SESSIONKEY: found ECR_MIRROR_UPLOADS_SESSIONKEY_FILE too, expected one of them',
  ])
  t.same(await refusal({ ECR_MIRROR_USERS_FILE: '/does/not/exist' }), [
    'ECR_MIRROR_USERS_FILE: cannot read /does/not/exist: ENOENT',
  ])
})

t.test('JSON that is none is refused with its place', async t => {
  const [line = ''] = await refusal({ ECR_MIRROR_UPSTREAMS: '[{"name": ' })
  t.match(line, /^ECR_MIRROR_UPSTREAMS:1:\d+ is not valid YAML: /)
})
