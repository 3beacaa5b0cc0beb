import { Writable } from 'node:stream'
import type { Test } from 'tap'
import { createApp, type App, type AppDeps } from '../../src/app.js'
import { loadConfig } from '../../src/config/load.js'
import { createLog } from '../../src/operations/log.js'
import { startEcr, type Ecr, type EcrOptions } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import type { RecordedRequest } from '../ecr/recorder.js'
import { authorization, USER, usersFile } from './users.js'

export { authorization, USER }

/** An answer of the mirror, with what its JSON may hold. */
export interface MirrorAnswer extends Response {
  json(): Promise<{
    readonly errors: readonly [{ readonly code: string; readonly message: string }]
    readonly name: string
    readonly tags: string[]
    readonly repositories: string[]
    readonly manifests: readonly unknown[]
  }>
}

/** A mirror in front of a stand-in, both on ports of their own, both closed when the test ends. */
export interface MirrorUnderTest {
  readonly ecr: Ecr
  readonly app: App
  readonly url: string
  readonly configFile: string
  /** The log so far, a parsed line each. */
  readonly log: readonly Record<string, unknown>[]
  /** A request with the user's credentials, unless `headers` says otherwise. */
  readonly fetch: (path: string, init?: RequestInit) => Promise<MirrorAnswer>
}

export interface MirrorOptions {
  readonly ecr?: EcrOptions
  /** Merged over the settings of the one upstream. */
  readonly upstream?: Record<string, unknown>
  /** Merged over the top of the configuration file. */
  readonly settings?: Record<string, unknown>
  /** Users with their passwords, in the form of ECR_MIRROR_USERS. */
  readonly users?: string
  readonly deps?: AppDeps['upstreams']
  readonly logins?: AppDeps['logins']
  readonly timeLimits?: AppDeps['timeLimits']
  /** The time in milliseconds since 1970, by which the cache goes. */
  readonly now?: () => number
  /** The least severe level that is logged: all by default, which costs memory over many requests. */
  readonly logLevel?: string
}

// The SDK asks for some credentials; the stand-in takes any.
process.env.AWS_ACCESS_KEY_ID ??= 'AKIDSTANDIN'
process.env.AWS_SECRET_ACCESS_KEY ??= 'secret-of-the-stand-in'

export async function startMirror(t: Test, options: MirrorOptions = {}): Promise<MirrorUnderTest> {
  const ecr = await startEcr(options.ecr)
  t.teardown(() => ecr.close())
  return mirrorOf(t, ecr, options)
}

export async function mirrorOf(
  t: Test,
  ecr: Ecr,
  { upstream, settings, users, deps, logins, timeLimits, now, logLevel = 'trace' }: MirrorOptions = {},
): Promise<MirrorUnderTest> {
  const directory = t.testdir({
    users: await usersFile(users),
    'mirror.json': JSON.stringify({
      listen: '127.0.0.1:0',
      operations: { listen: '127.0.0.1:0' },
      users: { htpasswd: 'users' },
      upstreams: [
        {
          name: 'main',
          host: ecr.host,
          ...reachOf(ecr),
          ...upstream,
        },
      ],
      ...settings,
    }),
  })
  const { config } = await loadConfig({
    flags: { config: `${directory}/mirror.json` },
    env: {},
  })
  const lines: Record<string, unknown>[] = []
  const log = createLog({ level: logLevel, format: 'json', destination: collectLines(lines) })
  const app = await createApp(config, {
    log,
    ...(deps && { upstreams: deps }),
    ...(logins && { logins }),
    ...(timeLimits && { timeLimits }),
    ...(now && { now }),
  })
  t.teardown(async () => {
    await app.close(AbortSignal.timeout(2_000))
    // Beside the teardown, which would leave the others undone.
    setImmediate(() => {
      refuseSecrets(lines, secretsOf(ecr, users))
      refuseStrays(ecr.requests, loginsOf(users))
    })
  })
  const [url = ''] = app.urls
  return {
    ecr,
    app,
    url,
    configFile: `${directory}/mirror.json`,
    log: lines,
    fetch: async (path, init = {}) =>
      (await fetch(url + path, {
        redirect: 'manual',
        ...init,
        headers: { authorization, ...Object.fromEntries(new Headers(init.headers)) },
      })) as MirrorAnswer,
  }
}

/** What must never be in a log: every password of the test's, and every token and signature that went over the wire. */
function secretsOf({ requests }: Ecr, users = `${USER.name}:${USER.password}`): Set<string> {
  const secrets = new Set([process.env.AWS_SECRET_ACCESS_KEY ?? ''])
  for (const user of users.split(',')) {
    secrets.add(Buffer.from(user).toString('base64'))
    const password = user.slice(user.indexOf(':') + 1)
    // Shorter ones are words that stand in a log anyway.
    if (password.length >= 12) secrets.add(password)
  }
  for (const { url, headers } of requests) {
    const [, credentials = ''] = /^(?:Basic|Bearer) (.+)$/.exec(headers.authorization ?? '') ?? []
    secrets.add(credentials).add(Buffer.from(credentials, 'base64').toString('latin1').slice('AWS:'.length))
    const query = new URLSearchParams(url.slice(url.indexOf('?') + 1))
    for (const name of ['X-Amz-Signature', 'X-Amz-Credential', 'X-Amz-Security-Token'])
      secrets.add(query.get(name) ?? '')
  }
  return new Set([...secrets].filter(secret => secret.length >= 8))
}

/** As clients send them. */
function loginsOf(users = `${USER.name}:${USER.password}`): string[] {
  return users.split(',').map(user => Buffer.from(user).toString('base64'))
}

/** What of a request tells where it went and what with. */
export type Sent = Pick<RecordedRequest, 'at' | 'url' | 'rawHeaders'>

/** Throws when a client's login went anywhere, or an ECR token elsewhere than to the registry, which fails the test. */
export function refuseStrays(requests: readonly Sent[], logins: readonly string[]): void {
  const tokens = new Set(
    requests.flatMap(({ at, rawHeaders }) =>
      at === 'registry' ? rawHeaders.map(value => /^(?:Basic|Bearer) (.{8,})$/.exec(value)?.[1]) : [],
    ),
  )
  for (const { at, url, rawHeaders } of requests) {
    const texts = [url, ...rawHeaders]
    const strays = at === 'registry' ? logins : [...logins, ...tokens]
    if (texts.some(text => strays.some(stray => stray !== undefined && text.includes(stray))))
      throw new Error(`A secret went to the ${at}: ${url}`)
    if (at === 's3' && rawHeaders.some((name, index) => index % 2 === 0 && /^authorization$/i.test(name)))
      throw new Error(`An authorization went to the storage: ${url}`)
  }
}

/** Throws when the log has a secret in it, which fails the test. */
export function refuseSecrets(lines: readonly Record<string, unknown>[], secrets: Iterable<string>): void {
  const needles = [...secrets].map(secret => JSON.stringify(secret).slice(1, -1))
  for (let from = 0; from < lines.length; from += 1000) {
    const text = lines
      .slice(from, from + 1000)
      .map(line => JSON.stringify(line))
      .join('\n')
    const leaked = needles.find(needle => text.includes(needle))
    if (leaked === undefined) continue
    const line = text.split('\n').find(each => each.includes(leaked))
    throw new Error(`The log has a secret in it: ${line ?? ''}`)
  }
}

function collectLines(lines: Record<string, unknown>[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString('utf8').split('\n')) {
        if (line !== '') lines.push(JSON.parse(line) as Record<string, unknown>)
      }
      done()
    },
  })
}
