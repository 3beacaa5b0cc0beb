import { fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { createApp } from '../../src/app.js'
import { loadConfig } from '../../src/config/load.js'
import { createLog } from '../../src/operations/log.js'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'

/**
 * How long a mirror leaves everybody unanswered while somebody sends the manifests that cost most: for each, the longest
 * turn of its event loop by the clock, and the processor time of the costliest, which other programs on the machine do not
 * change. The registry and the clients are a process of their own. Run it with: node --import=tsx test/hostile/longest-stalls.ts
 */
const LARGEST = 4 * 1024 * 1024
const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'

type Ask = (method: string, path: string, headers?: Record<string, string>, body?: Buffer) => Promise<number>

interface Scenario {
  readonly name: string
  readonly prepare?: (ecr: Ecr, ask: Ask) => Promise<void>
  readonly run: (ask: Ask) => Promise<unknown>
}

function filled(head: string, unit: (index: number) => string, tail: string, most = Infinity): Buffer {
  const pieces = [head]
  let length = head.length + tail.length
  for (let index = 0; index < most; index++) {
    const piece = unit(index)
    if (length + piece.length > LARGEST) break
    pieces.push(piece)
    length += piece.length
  }
  return Buffer.from([...pieces, tail].join(''))
}

const hex = (index: number): string => `sha256:${index.toString(16).padStart(64, '0')}`

const MANIFESTS: Readonly<Record<string, { readonly bytes: () => Buffer; readonly type?: string }>> = {
  '690,000 keys': { bytes: () => filled('{"a":0', index => `,"${index.toString(36)}":0`, '}') },
  'as many keys as are parsed': {
    bytes: () => filled('{"a":0', index => `,"${index.toString(36).padStart(30, 'k')}":0`, '}', 74_900),
  },
  'keys with escapes': { bytes: () => filled('{"a":0', () => ',"\\u006cayer\\u017fX":0', '}') },
  'two million elements': { bytes: () => filled('{"a":[0', () => ',1', ']}') },
  'a million objects': { bytes: () => filled('{"a":[0', () => ',{}', ']}') },
  'levels of 64': { bytes: () => filled('{"a":[0', () => `,${'['.repeat(60)}${']'.repeat(60)}`, ']}') },
  'one text of escapes': { bytes: () => filled('{"a":"', () => '\\u00e9', '"}') },
  '49,000 children': {
    bytes: () => filled('{"manifests":[{}', index => `,{"digest":"${hex(index)}"}`, ']}'),
    type: INDEX,
  },
  '10,000 layers': {
    bytes: () =>
      filled(
        `{"schemaVersion":2,"mediaType":"${IMAGE}","layers":[{}`,
        index => `,{"digest":"${hex(index)}"}`,
        ']}',
        9_999,
      ),
  },
}

function pulls(name: string): Scenario {
  const { bytes, type = IMAGE } = MANIFESTS[name]!
  const tag = name.replace(/\W/g, '-')
  return {
    name: `${name}: 8 HEADs with different Accepts, and a GET`,
    async prepare(ecr) {
      ecr.putManifest('team/app', tag, bytes(), { mediaType: type })
    },
    async run(ask) {
      const path = `/v2/team/app/manifests/${tag}`
      await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          ask('HEAD', path, { accept: `${type}, application/x-${index}` }),
        ),
      )
      await ask('GET', path, { 'cache-control': 'no-cache' })
    },
  }
}

function push(name: string): Scenario {
  const { bytes, type = IMAGE } = MANIFESTS[name]!
  const body = bytes()
  return {
    name: `${name}: 4 PUTs`,
    run: ask =>
      Promise.all(
        Array.from({ length: 4 }, (_, index) =>
          ask('PUT', `/v2/team/app/manifests/p${index}`, { 'content-type': type }, body),
        ),
      ),
  }
}

/** An index that names manifests which the mirror knows. */
function known(name: string, count: number, times: number, size: number): Scenario {
  const digests: string[] = []
  return {
    name,
    async prepare(ecr, ask) {
      const [layer, config] = [await ecr.putBlob('team/app', 'layer'), await ecr.putBlob('team/app', '{}')]
      for (let index = 0; index < count; index++) {
        const annotations = { index: String(index), padding: 'x'.repeat(size) }
        const manifest = { schemaVersion: 2, mediaType: IMAGE, config, layers: [layer], annotations }
        const { digest } = ecr.putManifest('team/app', undefined, JSON.stringify(manifest))
        digests.push(digest)
        await ask('GET', `/v2/team/app/manifests/${digest}`)
      }
      const entries = Array.from({ length: count * times }, (_, index) => ({
        digest: digests[index % count],
      }))
      ecr.putManifest('team/app', 'known', JSON.stringify({ manifests: entries }), { mediaType: INDEX })
    },
    run: ask => ask('HEAD', '/v2/team/app/manifests/known', { 'cache-control': 'no-cache' }),
  }
}

const SCENARIOS: readonly Scenario[] = [
  ...Object.keys(MANIFESTS).flatMap(name => [pulls(name), push(name)]),
  {
    name: 'names that stand twice: 4 PUTs',
    run: ask => {
      const body = filled('{"layers":[]', () => ',"layerſ":[]', '}')
      const path = '/v2/team/app/manifests/twice'
      return Promise.all(Array.from({ length: 4 }, () => ask('PUT', path, { 'content-type': IMAGE }, body)))
    },
  },
  known('49,000 times one known child of 4 MiB: HEAD with no-cache', 1, 49_000, LARGEST - 1_000),
  known('10,000 times one known child of 4 MiB: HEAD with no-cache', 1, 10_000, LARGEST - 1_000),
  known('8,000 known children: HEAD with no-cache', 8_000, 1, 10),
  known('20 known children of 4 MiB: HEAD with no-cache', 20, 1, LARGEST - 1_000),
]

type Message =
  | { readonly ecr: { host: string; url: string; s3Host: string } }
  | 'begin'
  | { readonly end: string }
  | 'over'

async function clients(): Promise<void> {
  const ecr = await startEcr({ profile: 'spec' })
  ecr.createRepository('team/app')
  const tell = (message: Message): void => void process.send?.(message)
  tell({ ecr: { host: ecr.host, url: ecr.url, s3Host: ecr.s3Host } })
  const [url] = await new Promise<[string]>(resolve =>
    process.once('message', resolve as (value: unknown) => void),
  )
  const agent = new Agent({ keepAlive: true })
  const ask: Ask = (method, path, headers = {}, body) =>
    new Promise((resolve, reject) => {
      const asked = request(url + path, {
        method,
        agent,
        headers: { ...headers, ...(body && { 'content-length': body.length }) },
      })
      asked.once('response', answer => answer.resume().once('end', () => resolve(answer.statusCode ?? 0)))
      asked.once('error', reject).end(body)
    })
  const only = process.argv[3]
  for (const { name, prepare, run } of SCENARIOS) {
    if (only !== undefined && !name.includes(only)) continue
    await prepare?.(ecr, ask)
    const begun = new Promise(resolve => process.once('message', resolve))
    tell('begin')
    await begun
    await run(ask)
    const ended = new Promise(resolve => process.once('message', resolve))
    tell({ end: name })
    await ended
  }
  tell('over')
  agent.destroy()
  await ecr.close()
  process.disconnect()
}

/** Watches each turn of the event loop. */
function watchTurns(): () => string {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  histogram.enable()
  let isOver = false
  let [longest, at] = [0, process.cpuUsage()]
  const turn = (): void => {
    const { user, system } = process.cpuUsage(at)
    longest = Math.max(longest, (user + system) / 1000)
    at = process.cpuUsage()
    if (!isOver) setImmediate(turn)
  }
  turn()
  return () => {
    isOver = true
    histogram.disable()
    return `${(histogram.max / 1e6).toFixed().padStart(6)} ms by the clock, ${longest.toFixed().padStart(5)} ms of processor time`
  }
}

async function mirror(): Promise<void> {
  process.env.AWS_ACCESS_KEY_ID ??= 'AKIDSTANDIN'
  process.env.AWS_SECRET_ACCESS_KEY ??= 'secret-of-the-stand-in'
  const directory = await mkdtemp(join(tmpdir(), 'stalls-'))
  const child = fork(fileURLToPath(import.meta.url), ['clients', ...process.argv.slice(2)], {
    execArgv: process.execArgv,
  })
  const over = new Promise(resolve => child.once('exit', resolve))
  let app: Awaited<ReturnType<typeof createApp>> | undefined
  let stop = (): string => ''
  child.on('message', (message: Message) => {
    if (message === 'begin') {
      stop = watchTurns()
      child.send('go')
    } else if (message !== 'over' && 'end' in message) {
      console.log(`${stop()}  ${message.end}`)
      child.send('next')
    } else if (message !== 'over') {
      void start(message.ecr).then(url => child.send([url]))
    }
  })

  async function start(ecr: { host: string; url: string; s3Host: string }): Promise<string> {
    const file = join(directory, 'mirror.json')
    await writeFile(
      file,
      JSON.stringify({
        listen: '127.0.0.1:0',
        operations: { listen: '127.0.0.1:0' },
        policy: [{ principals: ['anonymous'], actions: ['pull', 'push'] }],
        upstreams: [{ name: 'main', host: ecr.host, ...reachOf(ecr) }],
        cache: { directory: join(directory, 'cache') },
      }),
    )
    const { config } = await loadConfig({ flags: { config: file }, env: {} })
    const log = createLog({ level: 'error', format: 'json', destination: process.stderr })
    app = await createApp(config, { log })
    return app.urls[0] ?? ''
  }

  await over
  await app?.close(AbortSignal.timeout(2_000))
  await rm(directory, { recursive: true, force: true })
}

await (process.argv[2] === 'clients' ? clients() : mirror())
