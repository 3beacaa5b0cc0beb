import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { standIn } from '../clients/support/far-side.js'
import { startMirrorProcess, USER } from '../clients/support/mirror-process.js'
import { runClient } from '../clients/support/run-client.js'
import { scratch } from '../clients/support/scratch.js'
import { canariesIn, searchFor, type Canary } from '../support/canaries.js'
import { Connection } from '../support/connection.js'
import { digestOf } from '../support/pushing.js'
import { startRecordingLink } from '../support/recording-link.js'
import { ask } from '../support/requests.js'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const random = (): string => randomBytes(24).toString('base64url')

const QUICK = { name: 'quick', password: `pw-${random()}` }
const WRONG = `wrong-${random()}`
const SECRET_KEY = `secret/key+${random()}`
const SESSION_TOKEN = `session/token+${random()}`
const SESSION_KEY = `uploads-${random()}`
const EXTERNAL_ID = `external-${random()}`

const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

/** What may be where; everything else may be nowhere. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'sent to the registry': ['ECR token'],
  'sent to the API': ['AWS session token', 'the external id'],
  'sent to S3': ['X-Amz-Signature', 'X-Amz-Credential', 'X-Amz-Security-Token'],
  // By the operator; the SDK reads them there.
  'the environment': ['AWS secret key', 'AWS session token'],
}

/** A crash on demand, which a preloaded module brings about. */
const CRASH =
  "--import \"data:text/javascript,process.on('SIGUSR2',()=>setImmediate(()=>{throw new Error('a crash')}))\""

t.test('no secret is where it may not be, whatever happens', { timeout: 120_000 }, async t => {
  const directory = await scratch(t)
  const cacheDirectory = join(directory, 'cache')
  const auditFile = join(directory, 'audit.jsonl')
  const farSide = await standIn(t, {
    knobs: { layerInaccessibleUntilTagged: false, blobMounting: true, minPart: 0 },
  })
  const { ecr } = farSide
  const [registry, api, s3] = await Promise.all(
    [ecr.url, ecr.url, `http://${ecr.s3Host}`].map(url => startRecordingLink(t, url)),
  )
  if (!registry || !api || !s3) throw new Error('three were started')
  ecr.knobs.redirectHost = s3.host
  const evilRequests: string[] = []
  const evil = createServer((request, response) => {
    evilRequests.push(JSON.stringify([request.url, request.rawHeaders]))
    response.end('evil')
  }).listen(0, '127.0.0.1')
  await once(evil, 'listening')
  t.teardown(() => evil.close())
  const evilUrl = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`

  const quickUsers = join(directory, 'quick-users')
  await writeFile(quickUsers, `${QUICK.name}:${QUICK.password}\n`)
  const sessionKey = join(directory, 'session-key')
  await writeFile(sessionKey, SESSION_KEY)
  const operationsPort = await freePort()
  const env = {
    AWS_ACCESS_KEY_ID: 'AKIDSTANDIN',
    AWS_SECRET_ACCESS_KEY: SECRET_KEY,
    AWS_SESSION_TOKEN: SESSION_TOKEN,
    AWS_ENDPOINT_URL_STS: `http://${api.host}`,
    ECR_MIRROR_USERS_FILE: quickUsers,
    ECR_MIRROR_UPLOADS_SESSIONKEY_FILE: sessionKey,
  }
  const mirror = await startMirrorProcess(t, farSide, {
    cached: true,
    cacheDirectory,
    env: { ...env, NODE_OPTIONS: CRASH },
    settings: {
      log: { level: 'trace', format: 'json' },
      audit: { file: auditFile },
      operations: { listen: `127.0.0.1:${operationsPort}` },
      limits: { drainTimeout: '1s' },
      policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete'] }],
      upstreams: [
        {
          name: 'main',
          default: true,
          host: ecr.host,
          endpoint: `http://${registry.host}`,
          apiEndpoint: `http://${api.host}`,
          redirectHosts: [s3.host],
        },
        {
          name: 'role',
          host: ecr.hostOf({}).replace('us-east-1', 'eu-west-1'),
          endpoint: `http://${registry.host}`,
          apiEndpoint: `http://${api.host}`,
          credentials: { roleArn: 'arn:aws:iam::123456789012:role/none', externalId: EXTERNAL_ID },
        },
      ],
    },
  })

  const answers: string[] = []
  const authorization = basic(USER.name, USER.password)
  const go = async (
    method: string,
    path: string,
    { body, headers = {} }: { body?: Buffer; headers?: Record<string, string> } = {},
  ) => {
    const answer = await ask(mirror.url + path, {
      method,
      headers: { authorization, ...(body && { 'content-length': body.length }), ...headers },
      ...(body && { body }),
    })
    answers.push(JSON.stringify(answer.headers), answer.bytes.toString('latin1'))
    return answer
  }
  const seen = new Set<number>()
  const expect = async (status: number, asked: ReturnType<typeof go>): Promise<void> => {
    const answer = await asked
    seen.add(answer.status)
    t.equal(answer.status, status)
  }
  const blobOf = async (seed: string): Promise<string> =>
    `/v2/team/app/blobs/${(await ecr.putBlob('team/app', { size: 3000, seed })).digest}`

  // Logins and pulls.
  const image = await ecr.putImage('team/app', 'v1')
  await expect(200, go('GET', '/v2/'))
  await expect(200, go('GET', '/v2/', { headers: { authorization: basic(QUICK.name, QUICK.password) } }))
  await expect(401, go('GET', '/v2/', { headers: { authorization: basic(USER.name, WRONG) } }))
  await expect(401, go('GET', '/v2/', { headers: { authorization: basic('nobody', USER.password) } }))
  await expect(401, go('GET', '/v2/', { headers: { authorization: basic(USER.password, '') } }))
  await expect(200, go('GET', '/v2/team/app/manifests/v1'))
  await expect(200, go('GET', '/v2/team/app/tags/list'))
  const blob = await blobOf('pulled')
  for (const range of [undefined, undefined, 'bytes=1-9'])
    await expect(range ? 206 : 200, go('GET', blob, { headers: range ? { range } : {} }))

  // A push, a mount and a deletion.
  const bytes = randomBytes(3000)
  const digest = digestOf(bytes)
  const begun = await go('POST', '/v2/team/app/blobs/uploads/')
  const next = await go('PATCH', String(begun.headers.location), { body: bytes })
  await expect(201, go('PUT', `${String(next.headers.location)}?digest=${digest}`))
  ecr.createRepository('team/other')
  await expect(201, go('POST', `/v2/team/other/blobs/uploads/?mount=${digest}&from=team/app`))
  const wrong = await go('POST', '/v2/team/app/blobs/uploads/')
  t.match(
    await go('PUT', `${String(wrong.headers.location)}?digest=sha256:${'0'.repeat(64)}`, { body: bytes }),
    { status: 400 },
  )
  await expect(202, go('DELETE', `/v2/team/app/manifests/${image.digest}`))

  // Failures of every kind.
  ecr.knobs.redirectTo = signed => signed.replace(/^https?:\/\/[^/]+/, evilUrl)
  await expect(502, go('GET', await blobOf('elsewhere')))
  ecr.knobs.redirectTo = undefined
  ecr.knobs.s3.expired = 9
  await expect(502, go('GET', await blobOf('expired')))
  ecr.knobs.s3.expired = 0
  ecr.knobs.s3.cutAfterBytes = { bytes: 100, times: 9 }
  await go('GET', await blobOf('cut')).catch(() => undefined)
  ecr.knobs.s3.cutAfterBytes = undefined
  ecr.knobs.serverError.BatchGetImage = 9
  await expect(502, go('GET', '/v2/team/app/manifests/broken'))
  ecr.knobs.serverError.BatchGetImage = 0
  ecr.knobs.iamDenied.BatchGetImage = true
  await expect(403, go('GET', '/v2/team/app/manifests/denied'))
  ecr.knobs.iamDenied.BatchGetImage = false
  ecr.knobs.resetConnection.ListImages = 9
  await go('GET', '/v2/team/app/tags/list')
  ecr.knobs.resetConnection.ListImages = 0
  ecr.knobs.externalIds['arn:aws:iam::123456789012:role/none'] = 'another'
  await expect(503, go('GET', '/v2/role/team/app/manifests/v1'))
  // AWS repeats the request that it found wrongly signed.
  ecr.knobs.answer.GetAuthorizationToken = [
    {
      status: 400,
      headers: { 'Content-Type': 'application/x-amz-json-1.1' },
      body: JSON.stringify({
        __type: 'InvalidSignatureException',
        message: `The Canonical String should have been\n'x-amz-security-token:${SESSION_TOKEN}'`,
      }),
      times: 20,
    },
  ]
  ecr.expireTokens()
  // A token that is refused is not renewed before it is five seconds old.
  await pause(5_100)
  await expect(503, go('GET', '/v2/team/app/manifests/token-refused'))
  ecr.knobs.answer.GetAuthorizationToken = []
  let renewed = await go('GET', '/v2/team/app/tags/list')
  for (let tries = 0; tries < 200 && renewed.status !== 200; tries++) {
    await pause(50)
    renewed = await go('GET', '/v2/team/app/tags/list')
  }
  t.equal(renewed.status, 200, 'the token is renewed')
  const leaver = new Connection(mirror.url)
  ecr.knobs.hang.BatchGetImage = 1
  leaver.socket.write(`GET ${blob} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\n\r\n`)
  leaver.socket.destroy()
  await expect(400, go('GET', `/v2/%0d%0a${WRONG}/manifests/x`))
  t.ok(seen.size >= 8, 'many kinds of answers')

  const operations = await Promise.all(
    ['/metrics', '/readyz', '/livez', '/status'].map(async path =>
      (await ask(`http://127.0.0.1:${operationsPort}${path}`)).bytes.toString('latin1'),
    ),
  )
  const commands: string[] = []
  for (const command of [
    ['check'],
    ['images', '--json'],
    ['warm', 'team/app:v2'],
    ['client-config', 'docker'],
  ])
    commands.push(
      (await runClient(process.execPath, [MAIN, ...command, '--config', mirror.configFile], { env })).output,
    )
  const proc = await Promise.all(
    ['cmdline', 'environ'].map(name => readFile(`/proc/${mirror.pid}/${name}`, 'latin1').catch(() => '')),
  )
  process.kill(mirror.pid, 'SIGUSR2')
  for (let tries = 0; tries < 500 && !mirror.output().includes('a crash'); tries++) await pause(20)
  t.match(mirror.output(), /unexpected error: ending/, 'it has crashed')

  const canaries: Canary[] = [
    { kind: "a user's password", text: USER.password },
    { kind: "a user's password", text: QUICK.password },
    { kind: 'a wrong password', text: WRONG },
    { kind: "a user's credentials", text: authorization.slice('Basic '.length) },
    { kind: 'AWS secret key', text: SECRET_KEY },
    { kind: 'AWS session token', text: SESSION_TOKEN },
    { kind: 'the key of upload sessions', text: SESSION_KEY },
    { kind: 'the external id', text: EXTERNAL_ID },
    ...canariesIn(registry.sent()),
    ...canariesIn(s3.sent()),
  ]
  const kinds = new Set(canaries.map(({ kind }) => kind))
  for (const kind of ['ECR token', 'X-Amz-Signature', 'X-Amz-Credential', 'X-Amz-Security-Token'])
    t.ok(kinds.has(kind), `there was one: ${kind}`)

  const sinks = async (): Promise<Map<string, string>> =>
    new Map([
      ['the log', mirror.output()],
      ['answers', answers.join('\n')],
      ['the operations port', operations.join('\n')],
      ['what commands print', commands.join('\n')],
      ['the audit log', await readFile(auditFile, 'latin1')],
      ['the cache directory', await contentOf(cacheDirectory)],
      ['the command line', proc[0] ?? ''],
      ['the environment', proc[1] ?? ''],
      ['sent to the registry', registry.sent()],
      ['sent to the API', api.sent()],
      ['sent to S3', s3.sent()],
      ['sent elsewhere', evilRequests.join('\n')],
    ])
  const search = searchFor(canaries)
  const sweep = async (): Promise<string[]> => {
    const hits: string[] = []
    for (const [sink, text] of await sinks())
      for (const { kind, form } of search(text))
        if (!ALLOWED[sink]?.includes(kind)) hits.push(`${kind} in ${sink}, ${form}`)
    return [...new Set(hits)]
  }
  for (const [sink, text] of await sinks())
    if (sink !== 'sent elsewhere' && process.platform === 'linux')
      t.ok(text.length > 20, `${sink} has something`)
  t.same(await sweep(), [])
  t.same(evilRequests, [], 'and nobody else was asked')

  // That the sweep would find each is shown by a leak of each.
  const token = canaries.find(({ kind }) => kind === 'ECR token')?.text ?? ''
  answers.push(JSON.stringify({ message: USER.password }))
  operations.push(`ecr_mirror_x{user="${Buffer.from(QUICK.password).toString('hex')}"}`)
  commands.push(Buffer.from(`secret: ${SECRET_KEY} `).toString('base64'))
  await appendFile(auditFile, encodeURIComponent(SESSION_TOKEN))
  await writeFile(
    join(cacheDirectory, 'planted'),
    Buffer.from(`${USER.name}:${USER.password}`).toString('base64'),
  )
  await ask(`http://${s3.host}/`, { headers: { authorization: `Basic ${token}` } })
  await ask(`http://${registry.host}/v2/`, { headers: { authorization } })
  await ask(
    `${evilUrl}/?X-Amz-Signature=${canaries.find(({ kind }) => kind === 'X-Amz-Signature')?.text ?? ''}`,
  )
  const found = (await sweep()).map(hit => hit.replace(/, [^,]*(?:, \d before)?$/, ''))
  for (const planted of [
    "a user's password in answers",
    "a user's password in the operations port",
    'AWS secret key in what commands print',
    'AWS session token in the audit log',
    "a user's credentials in the cache directory",
    'ECR token in sent to S3',
    "a user's credentials in sent to the registry",
    'X-Amz-Signature in sent elsewhere',
  ])
    t.ok(found.includes(planted), `found: ${planted}`)
})

/** Names and bytes of all files. */
async function contentOf(directory: string): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const texts = entries
    .filter(entry => entry.isFile())
    .map(async entry => `${entry.name}\n${await readFile(join(entry.parentPath, entry.name), 'latin1')}`)
  return (await Promise.all(texts)).join('\n')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
