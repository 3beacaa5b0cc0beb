import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { authorization, startMirror } from '../support/mirror.js'
import { ask } from '../support/requests.js'
import { countOf } from './support/attacks.js'
import { budgetsTold, untilUsed } from '../support/budget-use.js'

const LIMITS = {
  maxConnections: 100,
  maxConnectionsPerAddress: 80,
  maxRequests: 50,
  headersTimeout: '2s',
  idleTimeout: '20s',
}
const HEAD = `Host: m\r\nAuthorization: ${authorization}\r\n`
/** Those that flood, and one that wants to be served meanwhile. */
const [FLOOD, SECOND, OTHER] = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const

t.setTimeout(300_000)

interface Flooded {
  readonly operationsUrl: string
  readonly ecr: Awaited<ReturnType<typeof startMirror>>['ecr']
  /** How many times as much as on each change. */
  readonly factor: number
  readonly open: (from: string) => Client
  /** The status of an answer, on a connection of its own; undefined when that was refused. */
  readonly served: (path: string, from?: string) => Promise<number | undefined>
  /** A digest of a blob that is stored, and of ones that are not. */
  readonly hit: string
  readonly misses: readonly string[]
}

interface Client {
  readonly socket: Socket
  readonly closed: Promise<string>
}

const HIT = '/v2/team/app/manifests/v1'

const FLOODS: Readonly<Record<string, (t: Test, flooded: Flooded) => Promise<void>>> = {
  async 'from one address: others are served, and the address itself when it lets go'(t, flooded) {
    const { open, served, operationsUrl, factor } = flooded
    const before = await budgetsTold(operationsUrl)
    const clients: Client[] = []
    // What the system's own queue has no room for (listen(2): 511 here) is tried again for minutes, unseen by the mirror.
    for (let wave = 0; wave < factor; wave++) {
      const opened = Array.from({ length: 300 }, () => open(FLOOD))
      await Promise.all(
        opened.map(({ socket, closed }) =>
          Promise.race([once(socket, 'connect').catch(() => undefined), closed]),
        ),
      )
      clients.push(...opened)
    }
    const refused = 300 * factor - LIMITS.maxConnectionsPerAddress
    const told = await untilUsed(
      operationsUrl,
      now => refusals(now, 'connections_per_address', before) >= refused,
    )
    t.equal(told.in_use.connections_per_address, LIMITS.maxConnectionsPerAddress)
    t.equal(refusals(told, 'connections_per_address', before), refused)
    t.equal(await served(HIT, OTHER), 200)
    t.equal(await served(HIT, FLOOD), undefined)
    await letGo(clients, operationsUrl)
    t.equal(await served(HIT, FLOOD), 200)
  },

  async 'from many addresses: no more than there may be in all, and a newcomer takes the place of one'(
    t,
    flooded,
  ) {
    const { open, served, operationsUrl, factor } = flooded
    const before = await budgetsTold(operationsUrl)
    const first = Array.from({ length: 70 }, () => open(FLOOD))
    await untilUsed(operationsUrl, ({ in_use }) => in_use.connections === 70)
    const clients = [...first, ...Array.from({ length: 70 * factor }, () => open(SECOND))]
    const told = await untilUsed(operationsUrl, now => refused(now, before) >= 70 * factor - 30)
    t.equal(told.in_use.connections, LIMITS.maxConnections)
    t.equal(await served(HIT, OTHER), 200)
    t.equal((await fetch(`${operationsUrl}/livez`)).status, 200)
    await letGo(clients, operationsUrl)
    t.equal(await served(HIT, OTHER), 200)
  },

  async 'connections that say nothing, close one half, or are reset: none is left'(t, flooded) {
    const { open, served, operationsUrl, factor } = flooded
    for (let round = 0; round < 4 * factor; round++) {
      const clients = Array.from({ length: 60 }, () => open(FLOOD))
      clients.forEach(({ socket }, index) => {
        socket.once('connect', () => {
          if (index % 3 === 0) socket.end()
          else if (index % 3 === 1) socket.end('GET /v2/ HT')
          else socket.resetAndDestroy()
        })
      })
      t.equal(await served(HIT, OTHER), 200)
      await Promise.all(clients.map(({ closed }) => closed))
    }
    await untilUsed(operationsUrl, ({ in_use }) => in_use.connections === 0)
  },

  async 'connections that are never used are closed by the mirror'(t, flooded) {
    const { open, served, operationsUrl } = flooded
    const clients = Array.from({ length: 60 }, () => open(FLOOD))
    t.equal(await served(HIT, OTHER), 200)
    const answers = await Promise.all(clients.map(({ closed }) => closed))
    t.ok(answers.every(answer => answer === '' || answer.startsWith('HTTP/1.1 408')))
    await untilUsed(operationsUrl, ({ in_use }) => in_use.connections === 0)
  },

  async 'a thousand requests at once on one connection end it; ninety are answered in order; others have theirs'(
    t,
    flooded,
  ) {
    const { open, served, operationsUrl, factor } = flooded
    const last = `GET /v2/ HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`
    for (let round = 0; round < factor; round++) {
      const greedy = open(FLOOD)
      greedy.socket.write(`GET ${HIT} HTTP/1.1\r\n${HEAD}\r\n`.repeat(1000) + last)
      const other = served(HIT, OTHER)
      const answered = (await greedy.closed).match(/HTTP\/1\.1 \d+/g) ?? []
      t.ok(answered.length < 1001, 'it is cut off')

      const client = open(FLOOD)
      client.socket.write(`GET ${HIT} HTTP/1.1\r\n${HEAD}\r\n`.repeat(90) + last)
      const statuses = [...(await client.closed).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
      t.same(
        statuses,
        Array.from({ length: 91 }, () => '200'),
      )
      t.equal(await other, 200)
      t.equal(await served(HIT, OTHER), 200)
    }
    await untilUsed(operationsUrl, ({ in_use }) => in_use.requests === 0)
  },

  async 'more misses than requests there may be: what is stored is served all the while'(t, flooded) {
    const { ecr, served, operationsUrl, misses, hit, factor } = flooded
    // Two thirds, of nine tenths, are what one user may have.
    const limit = (LIMITS.maxRequests * 0.9 * 2) / 3
    const before = await budgetsTold(operationsUrl)
    ecr.knobs.hang.BatchGetImage = limit
    const held = Array.from({ length: limit }, (_, index) => flooded.open(index % 2 ? FLOOD : SECOND))
    held.forEach(({ socket }, index) =>
      socket.write(`GET /v2/team/app/manifests/none-${index} HTTP/1.1\r\n${HEAD}\r\n`),
    )
    await untilUsed(operationsUrl, ({ in_use }) => in_use.misses === limit)
    for (let round = 0; round < 5 * factor; round++) {
      const [shed, ...hits] = await Promise.all([
        served(`/v2/team/app/blobs/${misses[0]}`, OTHER),
        served(HIT, OTHER),
        served(hit, OTHER),
      ])
      t.same([shed, ...hits], [503, 200, 200])
    }
    const told = await budgetsTold(operationsUrl)
    t.equal(refusals(told, 'misses', before), 5 * factor)
    await letGo(held, operationsUrl)
    await ecr.settled()
    t.equal(await served(`/v2/team/app/blobs/${misses[0]}`, OTHER), 200)
  },
}

function refusals(
  { refusals_total }: Awaited<ReturnType<typeof budgetsTold>>,
  budget: string,
  before: Awaited<ReturnType<typeof budgetsTold>>,
): number {
  return (refusals_total[budget] ?? 0) - (before.refusals_total[budget] ?? 0)
}

/** By either bound on connections. */
function refused(
  now: Awaited<ReturnType<typeof budgetsTold>>,
  before: Awaited<ReturnType<typeof budgetsTold>>,
): number {
  return refusals(now, 'connections', before) + refusals(now, 'connections_per_address', before)
}

async function letGo(clients: readonly Client[], operationsUrl: string): Promise<void> {
  for (const { socket } of clients) socket.destroy()
  await untilUsed(operationsUrl, ({ in_use }) => in_use.connections === 0 && in_use.requests === 0)
}

t.test('floods of connections and requests', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'floods-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const { ecr, app, url } = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    settings: { limits: LIMITS, cache: { directory, tags: { ttl: '1h' } } },
  })
  const { hostname, port } = new URL(url)
  const { operationsUrl } = app
  await ecr.putImage('team/app', 'v1')
  const [stored, ...misses] = await Promise.all(
    ['stored', 'missing', 'missing too'].map(seed => ecr.putBlob('team/app', { size: 5000, seed })),
  )
  const flooded: Flooded = {
    operationsUrl,
    ecr,
    factor: 1,
    hit: `/v2/team/app/blobs/${stored?.digest}`,
    misses: misses.map(({ digest }) => digest),
    open(from) {
      const chunks: Buffer[] = []
      const socket = connect({ port: Number(port), host: hostname, localAddress: from })
      socket.on('data', chunk => chunks.push(chunk))
      socket.on('error', () => undefined)
      return {
        socket,
        closed: new Promise(resolve => {
          socket.once('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
        }),
      }
    },
    async served(path, from = OTHER) {
      const agent = new Agent({ localAddress: from })
      const answer = await ask(url + path, { headers: { authorization, accept: '*/*' }, agent }).catch(
        () => undefined,
      )
      agent.destroy()
      return answer?.status
    },
  }
  for (const path of [HIT, flooded.hit]) t.equal(await flooded.served(path), 200)

  const scenarios = Object.entries(FLOODS)
  const rounds = countOf('H16') / scenarios.length
  for (let round = 0; round < rounds; round++) {
    const factor = round === 0 ? 1 : 5
    for (const [name, flood] of scenarios)
      await t.test(`${name}${factor === 1 ? '' : ', five times as many'}`, async t => {
        await flood(t, { ...flooded, factor, misses: misses.slice(round).map(({ digest }) => digest) })
        await untilUsed(operationsUrl, ({ in_use }) => in_use.connections === 0 && in_use.requests === 0)
      })
  }
})
