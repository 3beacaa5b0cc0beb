/**
 * Makes the pictures of the status page in docs: screenshots.js. A mirror with a cache plays a day of two teams and a
 * cluster in a few seconds, in front of a stand-in for ECR, by a clock of its own; the numbers are made up, the page is not.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createApp } from '../../src/app.js'
import { loadConfig } from '../../src/config/load.js'
import { createLog } from '../../src/operations/log.js'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { usersFile } from '../support/users.js'
import { DESKTOP, launchBrowser, PHONE, WITHOUT_BROWSER } from './support/browser.js'
import { until } from './support/looking.js'

if (WITHOUT_BROWSER !== false) throw new Error(WITHOUT_BROWSER)
process.env['AWS_ACCESS_KEY_ID'] ??= 'AKIDSTANDIN'
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'secret-of-the-stand-in'

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url))
const KIB = 1024
const MIB = 1024 * KIB
const MINUTE = 60_000
const USER = 'maria'
const authorization = `Basic ${Buffer.from(`${USER}:a password for a picture`).toString('base64')}`

const MAIN = { account: '123456789012', region: 'eu-central-1' }
const SHARED = { account: '210987654321', region: 'us-east-1' }

interface MadeUp {
  readonly where: typeof MAIN
  readonly repository: string
  readonly tag: string
  /** Of its layers, in MiB. */
  readonly layers: readonly number[]
  /** How often a day it is pulled. */
  readonly pulls: number
  readonly architectures?: readonly string[]
}

const BOTH = ['amd64', 'arm64']
const IMAGES: readonly MadeUp[] = [
  {
    where: MAIN,
    repository: 'shop/checkout',
    tag: '2024.11.3',
    layers: [3.2, 9.1, 1.4],
    pulls: 70,
    architectures: BOTH,
  },
  {
    where: MAIN,
    repository: 'shop/catalog',
    tag: '7.2.0',
    layers: [3.2, 5.5],
    pulls: 52,
    architectures: BOTH,
  },
  { where: MAIN, repository: 'shop/web', tag: 'main', layers: [3.2, 2.1], pulls: 38 },
  { where: MAIN, repository: 'data/spark-runner', tag: '3.5.2', layers: [26, 11], pulls: 14 },
  { where: MAIN, repository: 'data/notebook', tag: 'stable', layers: [26, 17], pulls: 6 },
  { where: SHARED, repository: 'base/node', tag: '22-slim', layers: [7.5], pulls: 44, architectures: BOTH },
  { where: SHARED, repository: 'base/python', tag: '3.12', layers: [12.5], pulls: 31, architectures: BOTH },
  { where: SHARED, repository: 'tools/ci', tag: 'v18', layers: [14, 2.6], pulls: 25 },
  { where: SHARED, repository: 'tools/helm', tag: '3.16.2', layers: [6.3], pulls: 9 },
]
const COMING: MadeUp = {
  where: MAIN,
  repository: 'data/training',
  tag: 'cuda-12',
  layers: [34, 12, 5.4],
  pulls: 0,
}

interface Seeded extends MadeUp {
  /** Manifests and blobs by their paths, in the order in which a client asks. */
  readonly paths: readonly string[]
}

async function seed(ecr: Ecr, made: MadeUp): Promise<Seeded> {
  const { where, repository, tag, layers, architectures = ['amd64'] } = made
  const images = []
  for (const architecture of architectures)
    images.push({
      architecture,
      image: await ecr.putImage(repository, architectures.length === 1 ? tag : undefined, {
        ...where,
        format: 'oci',
        architecture,
        label: `${repository} ${architecture}`,
        layers: layers.map((size, index) => ({
          size: Math.round(size * MIB),
          // The first is the base that others have too.
          seed: index === 0 ? `base ${size}` : `${repository} ${index} ${architecture}`,
        })),
      }),
    })
  if (architectures.length > 1)
    ecr.putManifest(
      repository,
      tag,
      {
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: images.map(({ architecture, image }) => ({
          mediaType: image.mediaType,
          digest: image.digest,
          size: image.bytes.length,
          platform: { os: 'linux', architecture },
        })),
      },
      where,
    )
  const parts = images.flatMap(({ image }) => [
    ...(architectures.length > 1 ? [`manifests/${image.digest}`] : []),
    ...[image.config, ...image.layers].map(({ digest }) => `blobs/${digest}`),
  ])
  const name = where === MAIN ? 'main' : 'shared'
  return { ...made, paths: [`manifests/${tag}`, ...parts].map(path => `/v2/${name}/${repository}/${path}`) }
}

const directory = await mkdtemp(join(tmpdir(), 'screenshots-'))
const ecr = await startEcr({ accounts: [MAIN, SHARED], knobs: { layerInaccessibleUntilTagged: false } })
let now = Date.now() - 24 * 60 * MINUTE
await writeFile(join(directory, 'users'), await usersFile(`${USER}:a password for a picture`))
const upstream = (name: string, where: typeof MAIN): object => ({
  name,
  host: ecr.hostOf(where),
  ...reachOf(ecr),
})
await writeFile(
  join(directory, 'mirror.json'),
  JSON.stringify({
    listen: '127.0.0.1:0',
    operations: { listen: '127.0.0.1:0' },
    publicUrl: 'https://mirror.internal',
    users: { htpasswd: 'users' },
    policy: [{ principals: [USER], actions: ['pull', 'status'] }],
    upstreams: [{ ...upstream('main', MAIN), default: true }, upstream('shared', SHARED)],
    cache: { directory: join(directory, 'cache'), maxSize: '512MiB', minFree: '1%' },
    status: { transferPrice: 0.09 },
  }),
)
const { config } = await loadConfig({ env: {}, flags: { config: join(directory, 'mirror.json') } })
const log = createLog({ level: 'silent', format: 'json', destination: process.stdout })
const app = await createApp(config, { log, now: () => now })
const [url = ''] = app.urls

async function pull(path: string): Promise<void> {
  const answer = await fetch(url + path, { headers: { authorization } })
  await answer.arrayBuffer()
}

/** A working day: little in the night, much from nine to five. */
function share(hour: number): number {
  return hour < 6 ? 0.3 : hour < 9 ? 0.8 : hour < 18 ? 1.8 : 0.7
}

try {
  const seeded: Seeded[] = []
  for (const made of IMAGES) seeded.push(await seed(ecr, made))
  const coming = await seed(ecr, COMING)
  let number = 1
  /** Evenly spread, and the same each time. */
  const chance = (): number => (number = (number * 48_271) % 2_147_483_647) / 2_147_483_647

  for (let step = 0; step < 48; step++) {
    const hour = (step / 2 + 22) % 24
    for (const { pulls, paths } of seeded) {
      const times = Math.floor((pulls / 48) * share(hour) + chance())
      // A new machine pulls all of it.
      for (let count = 0; count < times; count++) await Promise.all(paths.map(pull))
    }
    if (step === 20 || step === 33) {
      ecr.knobs.answer.BatchGetImage = [{ status: 500, times: 9 }]
      await pull(`/v2/main/shop/search/manifests/0.${step}.0`)
      ecr.knobs.answer.BatchGetImage = []
      await pull('/v2/main/shop/web/manifests/main')
    }
    // Whoever looks at the page has downloads counted for the time in which they were.
    if (step < 4) await fetch(`${app.operationsUrl}/status/live`)
    if (step < 47) now += 30 * MINUTE
  }

  ecr.knobs.s3.slow = 900_000
  const stop = new AbortController()
  const waiting = coming.paths.slice(2).map(async (path, index) => {
    const clients = Array.from({ length: 3 - index }, () =>
      fetch(url + path, { headers: { authorization }, signal: stop.signal }).then(answer =>
        answer.arrayBuffer(),
      ),
    )
    await Promise.allSettled(clients)
  })

  const browser = await launchBrowser()
  for (const [name, viewport, last] of [
    ['desktop', DESKTOP, '#images'],
    ['phone', PHONE, '#wanted'],
  ] as const) {
    const context = await browser.newContext({
      viewport,
      deviceScaleFactor: name === 'phone' ? 1.5 : 1,
      reducedMotion: 'reduce',
      colorScheme: name === 'phone' ? 'dark' : 'light',
      extraHTTPHeaders: { authorization },
    })
    const page = await context.newPage()
    await page.goto(`${app.operationsUrl}/status`)
    await until(async () => (await page.locator('#live').textContent()) === 'live')
    await until(async () => /9 images, as of just now/.test(await page.locator('#image-rows').innerText()))
    const end = await page.locator(last).boundingBox()
    await page.screenshot({
      path: join(DOCS, `status-${name}.png`),
      clip: { x: 0, y: 0, width: viewport.width, height: (end?.y ?? 0) + (end?.height ?? 0) + 16 },
      fullPage: true,
    })
    await context.close()
  }
  await browser.close()
  stop.abort()
  await Promise.all(waiting)
} finally {
  await app.close(AbortSignal.abort())
  await ecr.close()
  await rm(directory, { recursive: true, force: true })
}
