import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { createApp } from '../../src/app.js'
import { loadConfig } from '../../src/config/load.js'
import { createLog } from '../../src/operations/log.js'
import { makeExpiredCertificate } from '../check/support/expired-certificate.js'
import { freePort, freePorts, holdPort, refusingSts, withClockAhead } from '../check/support/far-side.js'
import { startEcr, type Ecr, type EcrOptions } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { mountDirectory, mountTmpfs, noMounts } from '../store/support/mounts.js'
import { makeCertificate } from '../support/certificate.js'
import { runCommand, type CommandResult } from '../support/run-command.js'
import { serve } from '../upstream/support/server.js'

const ROLE = 'arn:aws:iam::123456789012:role/team/mirror'

// The AWS SDK reads the process's own environment; nothing of this machine's may be in it, nor may anything be asked
// over the network.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('AWS_') || /^(?:HTTPS?|NO)_PROXY$/i.test(name))
    Reflect.deleteProperty(process.env, name)
}
const SOMEBODY = { AWS_ACCESS_KEY_ID: 'AKIDSOMEBODY', AWS_SECRET_ACCESS_KEY: 'secret-of-somebody' }
Object.assign(process.env, SOMEBODY, {
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/nowhere/config',
  AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials',
})

function setEnvironment(t: Test, values: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name]
    const put = (text: string | undefined): void => {
      if (text === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = text
    }
    put(value)
    t.teardown(() => put(before))
  }
}

interface Stage {
  readonly ecr: Ecr
  readonly directory: string
  readonly configFile: string
  readonly ports: { readonly listen: number; readonly operations: number }
  readonly check: (...args: string[]) => Promise<CommandResult>
}

interface StageOptions {
  readonly ecr?: EcrOptions
  /** Merged over the settings of the one upstream. */
  readonly upstream?: (ecr: Ecr) => object
  /** Merged over the top of the configuration. */
  readonly settings?: object
  /** The lines of the users file; undefined for none. */
  readonly users?: string | undefined
}

/** A good hash, made once: it takes its time. */
const GOOD_USER = `ci:${await hashBcrypt('correct horse', 10)}\n`

async function start(t: Test, options: StageOptions = {}): Promise<Stage> {
  const ecr = await startEcr(options.ecr)
  t.teardown(() => ecr.close())
  setEnvironment(t, { AWS_ENDPOINT_URL_STS: ecr.url })
  const directory = mkdtempSync(join(tmpdir(), 'check-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const users = 'users' in options ? options.users : GOOD_USER
  if (users !== undefined) writeFileSync(join(directory, 'users'), users)
  const { first: listen, second: operations } = await freePorts()
  const ports = { listen, operations }
  const { upstream, settings = {} } = options
  const configFile = join(directory, 'mirror.json')
  const config = {
    listen: `127.0.0.1:${ports.listen}`,
    operations: { listen: `127.0.0.1:${ports.operations}` },
    users: { htpasswd: 'users' },
    cache: { directory: 'cache', maxSize: '10MiB', minFree: '1MiB' },
    upstreams: [
      {
        name: 'main',
        host: ecr.host,
        ...reachOf(ecr),
        ...upstream?.(ecr),
      },
    ],
    ...settings,
  }
  writeFileSync(configFile, JSON.stringify(config))
  const check = (...args: string[]) => runCommand(['check', '--config', configFile, ...args])
  return { ecr, directory, configFile, ports, check }
}

const Report = z.strictObject({
  ok: z.boolean(),
  checks: z.array(
    z.strictObject({
      name: z.string().min(1),
      result: z.enum(['ok', 'failed', 'warning', 'skipped']),
      detail: z.string().min(1),
      advice: z.string().min(1).optional(),
    }),
  ),
})

/** Whether exactly this is wrong: each pattern is a line with ✗, in which the cause and what to do stand. */
function isWrong(t: Test, { code, out, err }: CommandResult, ...patterns: readonly RegExp[]): void {
  t.equal(code, 1, out)
  const lines = out.split('\n').filter(line => line.startsWith('✗'))
  t.equal(lines.length, patterns.length, lines.join('\n'))
  for (const pattern of patterns) {
    t.ok(
      lines.some(line => pattern.test(line)),
      `${String(pattern)} in ${lines.join('\n')}`,
    )
  }
  t.ok(
    lines.every(line => / → ./.test(line)),
    'each says what to do',
  )
  t.match(err, new RegExp(`ecr-mirror: ${lines.length} of \\d+ checks failed`))
}

t.test('a healthy set-up is well, and stays as it was', async t => {
  const { ecr, check, directory } = await start(t)
  await ecr.putImage('team/app', '1.0')
  const before = readdirSync(directory)
  const { code, out, err } = await check()
  t.equal(code, 0, out + err)
  t.equal(err, '')
  t.match(out.trim().split('\n').join('|'), /^(?:[✓-] [^|]+(?:\||$))+$/, 'a line for each, none wrong')
  for (const line of [
    /^✓ config: .*mirror.json: valid, 1 upstream, with a cache$/m,
    /^✓ users: 1 can log in/m,
    /^✓ identity of main: arn:aws:iam::123456789012:user\/mirror, from environment/m,
    /^✓ token of main: got, valid until 20.*Z \(12\.0 h\)$/m,
    /^✓ upstream main: GET \/v2\/ 200 in \d+ ms/m,
    /^✓ redirect of main: \d+ bytes of sha256:\w+… of team\/app in \d+ ms, digest right$/m,
    /^✓ clock: agrees with/m,
    /^✓ cache: .* free; it is not there yet/m,
    /^- certificates: not tried/m,
    /^✓ listen 127\.0\.0\.1:\d+: free$/m,
    /^✓ operations 127\.0\.0\.1:\d+: free$/m,
  ])
    t.match(out, line)
  t.same(readdirSync(directory), before)
  t.notMatch(out, /secret-of-somebody|AKIDSOMEBODY/)
})

t.test('for machines it is one JSON document', async t => {
  const { check } = await start(t)
  const { code, out } = await check('--json')
  t.equal(code, 0)
  const { ok, checks } = Report.parse(JSON.parse(out))
  t.equal(ok, true)
  t.ok(checks.length >= 11)
  t.match(
    checks.find(({ name }) => name === 'redirect of main'),
    { result: 'skipped', detail: /it lists no image/ },
  )
})

t.test('it passes beside a running mirror, which it does not disturb', async t => {
  const { ecr, check, configFile, directory } = await start(t)
  const image = await ecr.putImage('team/app', '1.0')
  const { config } = await loadConfig({ env: {}, flags: { config: configFile } })
  const log = createLog({ level: 'silent', format: 'json', destination: process.stdout })
  const app = await createApp(config, { log })
  t.teardown(() => app.close(AbortSignal.timeout(1000)))
  const { code, out } = await check()
  t.equal(code, 0, out)
  t.match(out, /^✓ cache: .*can be written; owner \d+, mode 0700; a running mirror owns it$/m)
  t.equal(out.match(/^✓ (?:listen|operations) .*: a running mirror answers there$/gm)?.length, 2)
  t.same(readdirSync(join(directory, 'cache')), ['v1'], 'nothing is left behind')
  const authorization = `Basic ${Buffer.from('ci:correct horse').toString('base64')}`
  const answer = await fetch(`${app.urls[0] ?? ''}/v2/team/app/manifests/1.0`, { headers: { authorization } })
  t.equal(answer.headers.get('docker-content-digest'), image.digest)
  t.equal((await check('--json')).code, 0)
})

t.test('an image can be given to try with', async t => {
  const { ecr, check } = await start(t, { upstream: () => ({ repositoryPrefix: 'hub' }) })
  await ecr.putImage('hub/library/app', '1.0', { layers: [{ size: 3_000_000, seed: 'x' }] })
  ecr.knobs.iamDenied.DescribeRepositories = true
  const denied = await check()
  t.equal(denied.code, 0)
  t.match(
    denied.out,
    /^- redirect of main: not tried: its catalog gives nothing .*; name an image with --image$/m,
  )
  t.match((await check('--image', 'library/app:1.0')).out, /^✓ redirect of main: .* of hub\/library\/app/m)
  isWrong(t, await check('--image', 'library/app:2.0'), /redirect of main: .* --image/)
  isWrong(
    t,
    await check('--image', '999999999999.dkr.ecr.us-east-1.amazonaws.com/app:2.0'),
    /image: This mirror does not serve that registry/,
  )
  t.match(await check('--image', 'No/Name'), { code: 2, err: /is no image/ })
  t.match(await check('--imagine'), { code: 2 })
})

t.test('upstreams that share credentials and a region share an identity and a token', async t => {
  const accounts = [
    { account: '123456789012', region: 'us-east-1' },
    { account: '210987654321', region: 'us-east-1' },
  ]
  const { ecr, check, configFile } = await start(t, { ecr: { accounts } })
  const {
    upstreams: [first],
    ...rest
  } = JSON.parse(readFileSync(configFile, 'utf8')) as { upstreams: [object] }
  const second = { ...first, name: 'other', host: ecr.hostOf({ account: '210987654321' }) }
  writeFileSync(configFile, JSON.stringify({ ...rest, upstreams: [first, second] }))
  const { code, out } = await check()
  t.equal(code, 0, out)
  t.match(
    out,
    /^✓ identity of main, other: .*\n✓ token of main, other: .*\n✓ upstream main: .*\n- redirect of main: .*\n✓ upstream other: /m,
  )
  t.equal(ecr.count({ action: 'GetAuthorizationToken' }), 1)
})

t.test('names: upstreams that hide repositories of the default registry are a warning', async t => {
  const accounts = [
    { account: '123456789012', region: 'us-east-1' },
    { account: '210987654321', region: 'us-east-1' },
  ]
  const { ecr, check, configFile } = await start(t, { ecr: { accounts } })
  t.notMatch((await check()).out, /names:/)
  const {
    upstreams: [first],
    ...rest
  } = JSON.parse(readFileSync(configFile, 'utf8')) as { upstreams: [object] }
  const team = { ...first, name: 'team', host: ecr.hostOf({ account: '210987654321' }) }
  writeFileSync(configFile, JSON.stringify({ ...rest, upstreams: [{ ...first, default: true }, team] }))
  const { code, out } = await check()
  t.equal(code, 0, out)
  t.match(out, /^! names: .*begin with main\/, team\/ are hidden.* as main\/main\/app/m)
})

t.test('a configuration that is wrong: each line, and nothing else is tried', async t => {
  const { ecr, check } = await start(t, { settings: { listen: 'nowhere', limits: { drainTimout: '1s' } } })
  const result = await check()
  isWrong(
    t,
    result,
    /config: .*listen: .*expected HOST:PORT.*nothing else was tried/,
    /did you mean drainTimeout/,
  )
  t.equal(result.out.trim().split('\n').length, 2)
  t.equal(ecr.requests.length, 0)
  const { code, out } = await check('--json')
  t.equal(code, 1)
  t.match(Report.parse(JSON.parse(out)), { ok: false, checks: [{ result: 'failed' }, { result: 'failed' }] })
})

t.test('no configuration at all', async t => {
  isWrong(
    t,
    await runCommand(['check'], { env: { ECR_MIRROR_CONFIG: '/nowhere/mirror.yaml' } }),
    /config: \/nowhere\/mirror.yaml: cannot be read: ENOENT/,
  )
})

t.test('users: a file that is not there', async t => {
  const { check } = await start(t, { users: undefined })
  isWrong(t, await check(), /users: .*users file cannot be read; create it with: ecr-mirror hash-password/)
})

t.test('users: a file in which only refused hashes are', async t => {
  const { check } = await start(t, { users: 'ci:$apr1$abc$0123456789012345678901\ndev:plain\n' })
  isWrong(
    t,
    await check(),
    /users:1: expected bcrypt.*found MD5/,
    /users:2: expected bcrypt.*found plain text/,
  )
})

t.test('users: an empty file, and nobody at all', async t => {
  const { check } = await start(t, { users: '# nobody yet\n' })
  isWrong(t, await check(), /users: .* has no users, so nobody can log in/)
  const nobody = await start(t, { settings: { users: {} } })
  const result = await nobody.check()
  isWrong(t, result, /users: .*nobody could log in/)
  t.match(result.out, /^✓ token of main/m, 'the rest is tried all the same')
})

t.test('users: a weak hash is a warning', async t => {
  const { check } = await start(t, { users: `ci:${await hashBcrypt('x', 4)}\n` })
  const { code, out } = await check()
  t.equal(code, 0)
  t.match(out, /^! users: .*users:1: bcrypt of cost 4/m)
})

t.test('AWS: no credentials anywhere', async t => {
  setEnvironment(t, { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined })
  const { check } = await start(t)
  const result = await check()
  const cause = /no AWS credentials were found.*give the mirror a role.*hop limit/
  isWrong(
    t,
    result,
    new RegExp(`identity of main: ${cause.source}`),
    new RegExp(`token of main: ${cause.source}`),
  )
  t.match(result.out, /^- upstream main: not tried: there is no token; without one it answers/m)
})

t.test('AWS: a profile that is not there', async t => {
  const { check } = await start(t, { upstream: () => ({ credentials: { profile: 'nobody' } }) })
  isWrong(
    t,
    await check(),
    /identity of main: profile nobody gives no AWS credentials.*\[nobody\] in ~\/.aws\/config/,
    /token of main: profile nobody/,
  )
})

for (const [code, message, cause] of [
  ['ExpiredToken', 'The security token included in the request is expired', /have expired .*aws sso login/],
  [
    'InvalidClientTokenId',
    'The security token included in the request is invalid.',
    /does not know these credentials.*AWS_ACCESS_KEY_ID/,
  ],
  ['SignatureDoesNotMatch', 'The request signature we calculated does not match', /AWS_SECRET_ACCESS_KEY/],
  [
    'SignatureDoesNotMatch',
    'Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z',
    /refuses the time.*NTP/,
  ],
  ['RequestTimeTooSkewed', 'The difference is too large', /refuses the time.*NTP/],
] as const) {
  t.test(`AWS: STS answers ${code}: ${message}`, async t => {
    const { check } = await start(t)
    const { origin } = await serve(t, refusingSts(403, code, message))
    setEnvironment(t, { AWS_ENDPOINT_URL_STS: origin })
    isWrong(t, await check(), new RegExp(`identity of main: .*${cause.source}`))
  })
}

t.test('AWS: a role that may not be assumed, and one that may', async t => {
  const { ecr, check } = await start(t, {
    ecr: { knobs: { externalIds: { [ROLE]: 'the-right-one' } } },
    upstream: () => ({ credentials: { roleArn: ROLE, externalId: 'the-wrong-one' } }),
  })
  const cause = /role\/team\/mirror may not be assumed: .*trust policy.*credentials\.externalId/
  isWrong(
    t,
    await check(),
    new RegExp(`identity of main: .*${cause.source}`),
    new RegExp(`token of main: .*${cause.source}`),
  )
  ecr.knobs.externalIds[ROLE] = 'the-wrong-one'
  const { code, out } = await check()
  t.equal(code, 0, out)
  t.match(out, /^✓ identity of main: arn:aws:sts::123456789012:assumed-role\/mirror\/mirror, from role arn:/m)
})

t.test('AWS: STS out of reach is wrong where a role is to be assumed, else a warning', async t => {
  const { check } = await start(t)
  const away = `http://127.0.0.1:${await freePort()}`
  setEnvironment(t, { AWS_ENDPOINT_URL_STS: away })
  const { code, out } = await check()
  t.equal(code, 0, out)
  t.match(out, /^! identity of main: credentials from environment.*STS cannot be reached: .*ECONNREFUSED/m)
  const withRole = await start(t, { upstream: () => ({ credentials: { roleArn: ROLE } }) })
  setEnvironment(t, { AWS_ENDPOINT_URL_STS: away })
  isWrong(
    t,
    await withRole.check(),
    /identity of main: STS cannot be reached: .*VPC endpoint sts/,
    /token of main: /,
  )
})

t.test('token: the permission is missing', async t => {
  const { check } = await start(t, { ecr: { knobs: { iamDenied: { GetAuthorizationToken: true } } } })
  isWrong(t, await check(), /token of main: AWS denies it: .*allow ecr:GetAuthorizationToken on resource \*/)
})

t.test('token: the API is out of reach, or is something else', async t => {
  const port = await freePort()
  const away = await start(t, { upstream: () => ({ apiEndpoint: `http://127.0.0.1:${port}` }) })
  isWrong(
    t,
    await away.check(),
    /token of main: the ECR API cannot be reached: .*ECONNREFUSED.*VPC endpoint ecr\.api/,
  )
  const { origin } = await serve(t, (_request, response) => void response.end('hello'))
  const other = await start(t, { upstream: () => ({ apiEndpoint: origin }) })
  isWrong(t, await other.check(), /token of main: .*apiEndpoint/)
})

t.test('token: the API takes the connection and never answers', async t => {
  const { check } = await start(t, { ecr: { knobs: { hang: { GetAuthorizationToken: 9 } } } })
  const began = performance.now()
  isWrong(t, await check(), /token of main: the ECR API cannot be reached: .*VPC endpoint ecr\.api/)
  t.ok(performance.now() - began < 15_000)
})

t.test('upstream: nobody listens there', async t => {
  const port = await freePort()
  const { check } = await start(t, { upstream: () => ({ endpoint: `http://127.0.0.1:${port}` }) })
  const result = await check()
  isWrong(t, result, /upstream main: http:\/\/127\.0\.0\.1:\d+ refuses connections: .*ECONNREFUSED/)
  t.match(result.out, /^- redirect of main: not tried/m)
})

t.test('upstream: a name that does not resolve', async t => {
  const { check } = await start(t, { upstream: () => ({ endpoint: 'http://ecr.invalid' }) })
  isWrong(
    t,
    await check(),
    /upstream main: the name in http:\/\/ecr\.invalid does not resolve: .*private DNS/,
  )
})

t.test('upstream: a server that is no registry', async t => {
  const { origin } = await serve(t, (_request, response) => void response.end('hello'))
  const { check } = await start(t, { upstream: () => ({ endpoint: origin }) })
  isWrong(
    t,
    await check(),
    /upstream main: GET \/v2\/ 200 .*not the answer of a registry.*check endpoint http/,
  )
})

t.test('upstream: a server that speaks no HTTP, and one that speaks no TLS', async t => {
  const port = await holdPort(t)
  const broken = await start(t, { upstream: () => ({ endpoint: `http://127.0.0.1:${port}` }) })
  isWrong(t, await broken.check(), /upstream main: .*closes connections without an answer/)
  const plain = await start(t, { upstream: ecr => ({ endpoint: ecr.url.replace('http:', 'https:') }) })
  isWrong(t, await plain.check(), /upstream main: .*does not speak TLS.*http:\/\//)
})

t.test('upstream: a proxy that lets nothing pass', async t => {
  const proxy = createServer().on('connect', (_request, socket) => {
    socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n')
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => proxy.close())
  const { port } = proxy.address() as AddressInfo
  setEnvironment(t, { HTTPS_PROXY: `http://127.0.0.1:${port}` })
  const { check } = await start(t, { upstream: () => ({ endpoint: 'https://ecr.invalid' }) })
  isWrong(
    t,
    await check(),
    /upstream main: .* cannot be reached through HTTPS_PROXY: Proxy response \(403\).*NO_PROXY/,
  )
})

t.test('upstream: a certificate that is not trusted', async t => {
  const directory = t.testdir({})
  const tls = makeCertificate(directory, '123456789012.dkr.ecr.us-east-1.amazonaws.com', 'far')
  const far = await startEcr({ tls: { key: readFileSync(tls.key), cert: tls.pem } })
  t.teardown(() => far.close())
  const { check } = await start(t, { upstream: () => ({ endpoint: far.url }) })
  isWrong(t, await check(), /upstream main: the TLS certificate of .* is not trusted: .*NODE_EXTRA_CA_CERTS/)
})

t.test('upstream: it refuses the token, or what the token may do', async t => {
  const { ecr, check } = await start(t)
  const headers = { 'www-authenticate': 'Basic realm="https://elsewhere/"' }
  ecr.knobs.answer.Base = [{ status: 401, headers, times: 2 }]
  isWrong(t, await check(), /upstream main: the registry refuses the token \(401\).*partition or region/)
  ecr.knobs.answer.Base = []
  ecr.knobs.iamDenied.Base = true
  isWrong(t, await check(), /upstream main: GET \/v2\/ 403 .*may not use this registry/)
})

t.test('upstream: it takes the connection and never answers', async t => {
  const { check } = await start(t, { ecr: { knobs: { hang: { Base: 9 } } } })
  const began = performance.now()
  isWrong(t, await check(), /upstream main: .* does not answer in time/)
  t.ok(performance.now() - began < 11_000)
})

t.test('upstream: it leads back to the mirror', async t => {
  const { check, ports, configFile } = await start(t, { settings: { cache: undefined } })
  const text = readFileSync(configFile, 'utf8')
  const looping = JSON.parse(text) as { upstreams: [{ endpoint: string }] }
  looping.upstreams[0].endpoint = `http://127.0.0.1:${ports.listen}`
  writeFileSync(configFile, JSON.stringify(looping))
  // A process of its own, since one process knows its own requests.
  const args = ['--import=tsx', 'src/main.ts', 'serve', '--config', configFile]
  const mirror = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => mirror.kill())
  for (let said = ''; !said.includes('ecr-mirror listens');) {
    const [chunk] = (await once(mirror.stdout, 'data')) as [Buffer]
    said += chunk.toString('utf8')
  }
  const result = await check()
  isWrong(
    t,
    result,
    /upstream main: a mirror like this one answers there.*endpoint http:\/\/127\.0\.0\.1:\d+ is the mirror's own/,
  )
  t.match(result.out, /^✓ listen .*a running mirror answers/m)
})

t.test('upstream: it leads back to a mirror, as is seen without a token too', async t => {
  const own = await serve(t, (_request, response) => void response.writeHead(508).end())
  const known = await start(t, { upstream: () => ({ endpoint: own.origin }) })
  isWrong(t, await known.check(), /upstream main: a mirror like this one answers there/)
  const another = await serve(t, (_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="ecr-mirror"' }).end()
  })
  const withoutToken = await start(t, {
    ecr: { knobs: { iamDenied: { GetAuthorizationToken: true } } },
    upstream: () => ({ endpoint: another.origin }),
  })
  isWrong(t, await withoutToken.check(), /token of main: /, /upstream main: a mirror like this one/)
})

t.test('redirect: a host that is not listed', async t => {
  const { ecr, check } = await start(t, { upstream: () => ({ redirectHosts: ['s3.example'] }) })
  await ecr.putImage('team/app', '1')
  const host = ecr.s3Host
  isWrong(
    t,
    await check(),
    new RegExp(`redirect of main: .*redirects to ${host}, which.*add it.*\\["${host}"\\]`),
  )
})

t.test('redirect: S3 out of reach', async t => {
  const { ecr, check } = await start(t, { upstream: () => ({ redirectHosts: ['localhost:9'] }) })
  await ecr.putImage('team/app', '1')
  ecr.knobs.redirectHost = 'localhost:9'
  isWrong(
    t,
    await check(),
    /redirect of main: the layer storage \(S3\) cannot be reached: .*S3 gateway endpoint/,
  )
})

t.test('redirect: other bytes than the digest says, and a role that may not read layers', async t => {
  const { ecr, check } = await start(t)
  await ecr.putImage('team/app', '1')
  ecr.knobs.s3.corruptByte = 0
  isWrong(t, await check(), /redirect of main: .*other bytes than its digest says/)
  ecr.knobs.s3.corruptByte = undefined
  ecr.knobs.iamDenied.GetDownloadUrlForLayer = true
  isWrong(t, await check(), /redirect of main: .*allow ecr:GetDownloadUrlForLayer/)
})

t.test('cache: a file stands where the directory should be, or above it', async t => {
  const { check } = await start(t, { settings: { cache: { directory: 'users' } } })
  isWrong(t, await check(), /cache: .*users cannot be written: .*is no directory.*name a directory/)
  const below = await start(t, { settings: { cache: { directory: 'users/below' } } })
  isWrong(t, await below.check(), /cache: .*users\/below cannot be written: ENOTDIR/)
})

t.test('cache: others can put files into it', async t => {
  const { check, directory } = await start(t)
  mkdirSync(join(directory, 'cache'))
  chmodSync(join(directory, 'cache'), 0o777)
  const { code, out } = await check()
  t.equal(code, 0)
  t.match(out, /^! cache: owner \d+, mode 0777: others/m)
})

t.test('cache: a disk that is read-only, and one that is nearly full', { skip: noMounts }, async t => {
  const mounted = mountTmpfs(t, join(mountDirectory(t), 'small'), '1m')
  const cache = { directory: mounted.directory, maxSize: '100KiB', minFree: '50%' }
  const { check } = await start(t, { settings: { cache } })
  const roomy = await check()
  t.equal(roomy.code, 0, roomy.out)
  t.match(roomy.out, /^! cache: .*tmpfs, .*it is in memory/m)
  writeFileSync(join(mounted.directory, 'filling'), Buffer.alloc(700 * 1024))
  isWrong(
    t,
    await check(),
    /cache: .*tmpfs, 3\d\d\.\d KiB of 1\.0 MiB free, less than minFree \(512\.0 KiB\)/,
  )
  mounted.remount('ro')
  isWrong(t, await check(), /cache: .* cannot be written: EROFS.*mount a volume/)
  t.notOk(existsSync(join(mounted.directory, 'v1')))
})

t.test('clock: minutes off are wrong, half a minute is a warning', async t => {
  const { ecr, check, configFile } = await start(t)
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as {
    upstreams: [{ endpoint: string }]
  }
  const through = async (ahead: number) => {
    config.upstreams[0].endpoint = (await serve(t, withClockAhead(ecr.url, ahead))).origin
    writeFileSync(configFile, JSON.stringify(config))
    return check()
  }
  isWrong(
    t,
    await through(6 * 60_000),
    /clock: this machine's is 6 min behind that of the upstream main; AWS refuses.*NTP/,
  )
  const near = await through(-60_000)
  t.equal(near.code, 0, near.out)
  t.match(near.out, /^! clock: this machine's is \d\d s ahead of/m)
})

t.test('certificates: one that has expired, and a key of another', async t => {
  const directory = t.testdir({})
  const expired = makeExpiredCertificate(directory, 'mirror.internal')
  const { check } = await start(t, { settings: { tls: expired } })
  isWrong(
    t,
    await check(),
    /certificate expired\.crt: expired on 2020-01-31 \(for mirror\.internal\).*renew it/,
  )
  const good = makeCertificate(directory, 'mirror.internal', 'good', 90)
  const pair = await start(t, { settings: { tls: { certificate: good.certificate, key: expired.key } } })
  isWrong(t, await pair.check(), /certificate good\.crt: the key .*expired\.key does not belong to/)
  const absent = await start(t, {
    settings: {
      tls: { certificate: good.certificate, key: join(directory, 'none.key'), clientCa: expired.key },
    },
  })
  isWrong(
    t,
    await absent.check(),
    /certificate good\.crt: .*none\.key cannot be used: ENOENT/,
    /client authorities expired\.key: .*no PEM certificate/,
  )
})

t.test('certificates: names that are covered or not, and an end that is near', async t => {
  const directory = t.testdir({})
  const good = makeCertificate(directory, 'mirror.internal', 'good', 90)
  const tls = { certificate: good.certificate, key: good.key }
  const covered = await start(t, { settings: { tls, publicUrl: 'https://mirror.internal' } })
  const { code, out } = await covered.check()
  t.equal(code, 0, out)
  t.match(out, /^✓ certificate good\.crt: for mirror\.internal, until 20/m)
  t.match(out, /^✓ certificate names: for mirror\.internal; not for 123456789012\.dkr/m)
  const short = makeCertificate(directory, 'mirror.internal', 'short', 2)
  const other = await start(t, {
    settings: {
      tls: { certificate: short.certificate, key: short.key },
      publicUrl: 'https://elsewhere.internal',
    },
  })
  const warned = await other.check()
  t.equal(warned.code, 0, warned.out)
  t.match(warned.out, /^! certificate short\.crt: expires on .*, in 1 days/m)
  t.match(
    warned.out,
    /^! certificate names: no certificate is for elsewhere\.internal, the host of publicUrl/m,
  )
  const served = await start(t, { settings: { tls }, upstream: () => ({ serves: ['hub.internal'] }) })
  t.match((await served.check()).out, /^! certificate names: no certificate is for hub\.internal \(serves\)/m)
})

t.test('listener: somebody else has the port', async t => {
  const port = await holdPort(t)
  const other = await serve(t, (_request, response) => void response.end('hello'))
  const { check } = await start(t, {
    settings: { listen: [`127.0.0.1:${port}`], operations: { listen: `127.0.0.1:${other.port}` } },
  })
  isWrong(
    t,
    await check(),
    /listen 127\.0\.0\.1:\d+: somebody else has it: .*ss -ltnp/,
    /operations .*: somebody else has it/,
  )
  const registry = await serve(t, (_request, response) => {
    response.writeHead(200, { 'docker-distribution-api-version': 'registry/2.0' }).end('{}')
  })
  const beside = await start(t, { settings: { listen: `127.0.0.1:${registry.port}` } })
  isWrong(t, await beside.check(), /listen 127\.0\.0\.1:\d+: somebody else has it/)
  const { check: elsewhere } = await start(t, { settings: { listen: '192.0.2.1:5000' } })
  isWrong(t, await elsewhere(), /listen 192\.0\.2\.1:5000: this machine has no such address/)
})

t.test('passwords: plain HTTP for other machines is a warning, unless TLS ends before it', async t => {
  const port = await freePort()
  const { check } = await start(t, { settings: { listen: `0.0.0.0:${port}` } })
  const { code, out } = await check()
  t.equal(code, 0, out)
  t.match(out, /^! passwords on the way: plain HTTP on 0\.0\.0\.0:\d+.* a proxy that ends TLS/m)
  const behind = await start(t, {
    settings: { listen: `0.0.0.0:${port}`, publicUrl: 'https://mirror.internal' },
  })
  t.match((await behind.check()).out, /^✓ passwords on the way/m)
})

t.test('the example in the README is what comes', async t => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const [, example = ''] = /^\$ ecr-mirror check [^\n]*\n(.*?)^```/ms.exec(readme) ?? []
  const { check, directory } = await start(t, {
    ecr: { knobs: { iamDenied: { GetAuthorizationToken: true } } },
  })
  mkdirSync(join(directory, 'cache'), { mode: 0o700 })
  const { out, err } = await check()
  // What differs from machine to machine.
  const same = (text: string): string =>
    text
      .replace(/\S*mirror\.(?:yaml|json)/, 'FILE')
      .replace(/\/[\w./-]*(?:users|ecr-mirror\/users\.htpasswd|cache|cache\/ecr-mirror)(?=[):])/g, 'PATH')
      .replace(/PATH: \S+, /, 'PATH: KIND, ')
      .replace(/\d+(?:\.\d+)?/g, '0')
      .replace(/(?<=clock of ).*|(?<=agrees with that of ).*/, 'WHOM')
  t.equal(same(out + err), same(example))
})

t.test('a mirror of ECR Public is looked at too, which has no identity of its own', async t => {
  const place = { account: 'public', region: 'us-east-1' }
  const { ecr, check } = await start(t, {
    ecr: { accounts: [place] },
    upstream: () => ({ host: 'public.ecr.aws' }),
  })
  await ecr.putImage('alias/app', '1', place)
  const { code, out } = await check('--image', 'alias/app:1')
  t.equal(code, 0, out)
  t.match(out, /^- +identity of main/m)
  t.match(out, /^✓ +token of main/m)
  t.match(out, /^✓ +upstream main/m)
  t.match(out, /^✓ +redirect of main/m)
  ecr.knobs.answer.BearerToken = [{ status: 500, times: 9 }]
  const broken = await check()
  t.equal(broken.code, 1)
  t.match(broken.out, /^✗ +token of main/m)
})
