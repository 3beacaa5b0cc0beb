/**
 * Whether 200 wrong logins a second slow 200 right ones: their latency without and with a flood, from one address and from
 * many, in turns. `--quick` for a look at it in less than a minute.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { atRate, quantile } from './logins/at-rate.js'
import { Connections } from './logins/connections.js'
import type { Flood, Flooded } from './logins/flooder.js'
import { request, startStage } from './logins/stage.js'

const PER_SECOND = 200
const BOUND = 2
/** The cost of the hashes that `ecr-mirror hash-password` makes. */
const USERS = Array.from({ length: 10 }, (_, index) => ({
  name: `user${index}`,
  password: `right ${index}`,
  cost: 12,
}))
const PHASES = [
  { name: 'no flood', addresses: 0 },
  { name: 'flood from 1 address', addresses: 1 },
  { name: 'flood from 100 addresses', addresses: 100 },
]

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const rounds = values.quick ? 2 : 6
const seconds = values.quick ? 4 : 10

const stage = await startStage(USERS)
const flooder = fork(fileURLToPath(new URL('./logins/flooder.js', import.meta.url)))
const connections = new Connections(stage.url)
const requests = USERS.map(({ name, password }) => request(stage.cachedPath, name, password))

/** What was measured of each phase, in all its rounds. */
const results = PHASES.map(({ name }) => ({
  name,
  times: new Array<number>(),
  failed: 0,
  sent: 0,
  wrong: new Map<string, number>(),
}))

async function measure(times: number[]): Promise<number> {
  let failed = 0
  let underWay = 0
  await atRate(PER_SECOND, seconds, index => {
    const begin = performance.now()
    underWay++
    connections.send(requests[index % requests.length] ?? '', status => {
      underWay--
      times.push(performance.now() - begin)
      if (status !== 200) failed++
    })
  })
  while (underWay > 0) await sleep(10)
  return failed
}

for (const each of requests) {
  const status = await new Promise<number>(resolve => connections.send(each, resolve))
  if (status !== 200) throw new Error(`A right login was answered ${status} before the flood.`)
}
await measure([])
for (let round = 0; round < rounds; round++) {
  for (const [index, { addresses }] of PHASES.entries()) {
    const result = results[index]
    if (!result) continue
    if (addresses > 0) {
      flooder.send({ url: stage.url, addresses, perSecond: PER_SECOND } satisfies Flood)
      await sleep(500)
    }
    result.failed += await measure(result.times)
    if (addresses > 0) {
      flooder.send('end')
      const [{ sent, statuses }] = (await once(flooder, 'message')) as [Flooded]
      result.sent += sent
      for (const [status, count] of Object.entries(statuses))
        result.wrong.set(status, (result.wrong.get(status) ?? 0) + count)
    }
    await sleep(500)
  }
}
connections.close()
flooder.disconnect()
await stage.close()

const idle = quantile(results[0]?.times ?? [], 0.99)
console.log(
  `${PER_SECOND} right logins a second, ${rounds * seconds} s of each; load of the machine ${loadavg()[0]?.toFixed(1)}`,
)
console.table(
  results.map(({ name, times, failed, sent, wrong }) => ({
    '': name,
    requests: times.length,
    failed,
    'p50 ms': Number(quantile(times, 0.5).toFixed(2)),
    'p99 ms': Number(quantile(times, 0.99).toFixed(2)),
    'p99.9 ms': Number(quantile(times, 0.999).toFixed(2)),
    'p99 ÷ no flood': Number((quantile(times, 0.99) / idle).toFixed(2)),
    'wrong logins': sent,
    'of them answered': [...wrong].map(([status, count]) => `${status}: ${count}`).join(', '),
  })),
)
const weak = results.filter(({ sent }, index) => index > 0 && sent < 0.9 * PER_SECOND * rounds * seconds)
const slow = results.filter(({ times }) => quantile(times, 0.99) > BOUND * idle)
const failing = results.filter(({ failed }) => failed > 0)
console.log(
  [
    ...weak.map(({ name }) => `${name}: the machine was too busy for it, so this says nothing`),
    ...slow.map(({ name }) => `${name}: p99 above ${BOUND} times that without`),
    ...failing.map(({ name }) => `${name}: right logins failed`),
  ].join('\n') || `Every right login succeeded, p99 within ${BOUND} times that without a flood.`,
)
if (weak.length + slow.length + failing.length > 0) process.exitCode = 1
