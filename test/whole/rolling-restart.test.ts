import { connect } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Ecr } from '../ecr/ecr.js'
import { standIn, type FarSide } from '../clients/support/far-side.js'
import { startMirrorProcess, USER, type MirrorProcess } from '../clients/support/mirror-process.js'
import { needs } from '../clients/support/required-packages.js'
import { succeed } from '../clients/support/run-client.js'
import { scratch } from '../clients/support/scratch.js'
import { inRing } from '../support/ring.js'
import { startHaproxy } from './rolling/haproxy.js'
import { ownAddresses } from './rolling/own-addresses.js'
import { startPullLoad, type PullLoad } from './rolling/pull-load.js'
import { beginSlowPull } from './rolling/slow-pull.js'
import { beginSlowPush } from './rolling/slow-push.js'

const MiB = 1024 * 1024
const PULLS_PER_SECOND = 50
/** How often each mirror is restarted. */
const ROUNDS = inRing({ short: 1, long: 15 })
/** Large enough that all buffers on the way together do not hold it. */
const LARGE = 32 * MiB
const TAGS = Array.from({ length: 16 }, (_, index) => `v${index}`)
const CREDENTIALS = `${USER.name}:${USER.password}`

/** One of the mirrors, which may be another process each time. */
interface Place {
  readonly address: string
  process: MirrorProcess
  readonly start: () => Promise<MirrorProcess>
}

t.test(
  `two mirrors behind HAProxy are restarted in turn under ${PULLS_PER_SECOND} pulls a second: none fails`,
  { timeout: 120_000 + ROUNDS * 60_000, ...needs('haproxy', 'skopeo') },
  async t => {
    const farSide = await standIn(t, { knobs: { layerInaccessibleUntilTagged: false } })
    const { ecr } = farSide
    const large = await fill(ecr)
    const [one = '', two = '', http = '', tcp = ''] = ownAddresses(4)
    const places = await Promise.all([startPlace(t, farSide, one), startPlace(t, farSide, two)])
    const mirrors = [one, two] as const
    const urls = await Promise.all([
      startHaproxy(t, 'http', { address: http, mirrors }),
      startHaproxy(t, 'tcp', { address: tcp, mirrors }),
    ])
    await Promise.all(
      mirrors.map(async address => {
        const pull = await beginSlowPull(`http://${address}:5000/v2/team/app/blobs/${large}`)
        t.equal(await pull.goOn(), large)
      }),
    )

    const skopeo = runSkopeo(await scratch(t), new URL(urls[0]).host)
    const load = startPullLoad(urls, TAGS, PULLS_PER_SECOND)
    for (let round = 0; round < ROUNDS; round++)
      for (const place of places) await restart(t, place, { urls, large, load, ecr })
    await load.stop()
    const copies = await skopeo.stop()

    t.comment(
      `${load.failures.length} of ${load.ended} pulls failed; skopeo pulled and pushed ${copies} times`,
    )
    t.same(load.failures, [], 'no pull failed')
    t.ok(load.ended > 2 * ROUNDS * PULLS_PER_SECOND, 'there was a load')
    t.ok(copies > 0, 'skopeo pulled and pushed meanwhile')
    for (const { process } of places) t.same(process.errors(), [], 'there are no errors to log')
  },
)

/** Restarts a mirror as whoever runs it would, with transfers running that outlast its ports. */
async function restart(
  t: Test,
  place: Place,
  {
    urls,
    large,
    load,
    ecr,
  }: {
    readonly urls: readonly [string, string]
    readonly large: string
    readonly load: PullLoad
    readonly ecr: Ecr
  },
): Promise<void> {
  const { address, process: old } = place
  ecr.createRepository('team/pushed')
  // One of each at this very mirror, and more by way of the balancers.
  const ways = [`http://${address}:5000`, ...urls]
  const pulls = await Promise.all(ways.map(url => beginSlowPull(`${url}/v2/team/app/blobs/${large}`)))
  const pushes = await Promise.all(ways.map(url => beginSlowPush(url, 'team/pushed')))

  const before = load.ended
  const said = old.output().length
  process.kill(old.pid, 'SIGTERM')
  await until(() => old.output().includes('SIGTERM: draining'))
  const readiness = await fetch(`http://${address}:5001/readyz`)
  t.equal(readiness.status, 503, 'it is not ready any more')
  t.match(await readiness.json(), { draining: true, reasons: ['draining'] })
  await until(() => old.output().includes('no more connections are taken'))
  await until(() => isRefused(address))
  t.equal((await fetch(`http://${address}:5001/livez`)).status, 200, 'it is alive still')

  const pulling = Promise.all(pulls.map(pull => pull.goOn()))
  const pushed = await Promise.all(pushes.map((push, index) => push.goOn(urls[index % urls.length]!)))
  t.same(
    [...new Set(await pulling)],
    [large],
    'transfers that ran when it was told to end have the right bytes',
  )
  t.same(pushed, Array(ways.length).fill([202, 202, 201]), 'pushes go on, at the other one where need be')
  for (const { digest } of pushes) t.ok(ecr.blob('team/pushed', digest), 'what was pushed is there')
  t.equal(await old.ended, 0)

  const after = old.output().slice(said)
  const draining = linesOf(after)
  t.ok(
    draining.some(line => line.reference === large && line.status === 200 && line.complete),
    'the mirror that ends has itself completed a pull',
  )
  t.ok(
    draining.some(line => line.method === 'PATCH' && line.status === 202),
    'and taken a chunk',
  )
  t.same(
    draining.filter(({ complete, status = 0 }) => !complete || status === 429 || status >= 500),
    [],
    'and cut or refused nothing',
  )
  place.process = await place.start()
  // The balancer has seen that it is ready.
  await until(() => linesOf(place.process.output()).length >= PULLS_PER_SECOND)
  t.ok(load.ended > before, 'pulls went on')
}

async function startPlace(t: Test, farSide: FarSide, address: string): Promise<Place> {
  const directory = join(await scratch(t), 'cache')
  const start = (): Promise<MirrorProcess> =>
    startMirrorProcess(t, farSide, {
      settings: {
        listen: `${address}:5000`,
        operations: { listen: `${address}:5001` },
        trustedProxies: ['127.0.0.0/8'],
        uploads: { sessionKey: 'a key that the mirrors share' },
        cache: { directory },
        // What is asserted is what ends, not how fast that is on a machine with other things to do.
        limits: { drainDelay: '5s', drainTimeout: '60s' },
      },
    })
  return { address, process: await start(), start }
}

/** Images that are pulled, and one large layer; its digest. */
async function fill(ecr: Ecr): Promise<string> {
  for (const tag of TAGS) {
    const layers = [
      { size: 20_000, seed: `${tag} 1` },
      { size: 60_000, seed: `${tag} 2` },
    ]
    await ecr.putImage('team/app', tag, { layers, label: tag, format: 'oci' })
  }
  ecr.createRepository('team/copied')
  return (await ecr.putBlob('team/app', { size: LARGE, seed: 'large' })).digest
}

/** Pulls an image and pushes it under another name, again and again; `stop` gives how often. Rejects when one fails. */
function runSkopeo(directory: string, registry: string): { readonly stop: () => Promise<number> } {
  let stopped = false
  const run = async (): Promise<number> => {
    let times = 0
    for (; !stopped; times++) {
      const layout = `oci:${join(directory, `copy-${times}`)}:1`
      const tag = TAGS[times % TAGS.length]!
      await succeed('skopeo', [
        ...['copy', '--src-tls-verify=false', '--src-creds', CREDENTIALS],
        ...[`docker://${registry}/team/app:${tag}`, layout],
      ])
      await succeed('skopeo', [
        ...['copy', '--dest-tls-verify=false', '--dest-creds', CREDENTIALS],
        ...[layout, `docker://${registry}/team/copied:${times}`],
      ])
      await pause(100)
    }
    return times
  }
  const running = run()
  // Looked at when it is stopped.
  running.catch(() => undefined)
  return {
    stop() {
      stopped = true
      return running
    },
  }
}

interface RequestLine {
  readonly msg: string
  readonly method?: string
  readonly reference?: string
  readonly status?: number
  readonly complete?: boolean
}

function linesOf(output: string): RequestLine[] {
  return output
    .split('\n')
    .filter(line => line.includes('"msg":"request"'))
    .map(line => JSON.parse(line) as RequestLine)
}

async function isRefused(address: string): Promise<boolean> {
  const socket = connect(5000, address)
  const refused = await once(socket, 'connect').then(
    () => false,
    () => true,
  )
  socket.destroy()
  return refused
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(20)
}
