import { Readable } from 'node:stream'
import t from 'tap'
import { OciError } from '../../src/oci/error.js'
import { CredentialsRefused } from '../../src/upstream/dialect.js'
import { watchReachability } from '../../src/upstream/reachability.js'
import type { Answer, OutboundRequest } from '../../src/upstream/send.js'

const request: OutboundRequest = {
  action: 'BatchGetImage',
  method: 'GET',
  path: '/v2/a/manifests/b',
  headers: {},
  signal: new AbortController().signal,
  patience: 1000,
}

function start() {
  const clock = { time: 0, now: () => clock.time }
  const { step, reachability } = watchReachability(clock)
  /** One request that takes `ms` and ends in a status, or in an error. */
  const ask = async (outcome: number | Error, ms = 0): Promise<void> => {
    const send = step(async () => {
      clock.time += ms
      if (outcome instanceof Error) throw outcome
      return { statusCode: outcome, headers: {}, body: Readable.from([]) } satisfies Answer
    })
    await send(request).catch(() => undefined)
  }
  return { clock, reachability, ask }
}

t.test('a registry that answers, whatever it says, is there', async t => {
  const { reachability, ask } = start()
  const denied = new OciError('DENIED', 'no')
  for (const outcome of [200, 307, 401, 403, 404, 429, denied, new CredentialsRefused('main')]) {
    await ask(outcome, 10_000)
    t.equal(reachability.awayFor, undefined, String(outcome))
    t.ok(reachability.worthAsking())
  }
})

t.test('one that fails or cannot be reached is away until it answers', async t => {
  for (const outcome of [500, 503, new OciError('UNKNOWN', 'x', { status: 502 })]) {
    const { clock, reachability, ask } = start()
    await ask(outcome)
    clock.time += 60_000
    await ask(outcome)
    t.equal(reachability.awayFor, 60_000)
    for (let count = 0; count < 3; count++)
      t.ok(reachability.worthAsking(), 'what fails at once costs nothing to ask')
    await ask(200)
    t.equal(reachability.awayFor, undefined)
  }
})

t.test('while it keeps people waiting, one in a while finds out for all', async t => {
  const { clock, reachability, ask } = start()
  await ask(504, 5_000)
  t.notOk(reachability.worthAsking())
  clock.time += 5_000
  t.ok(reachability.worthAsking())
  t.notOk(reachability.worthAsking(), 'the next one need not wait for that')
  await ask(200)
  t.ok(reachability.worthAsking())
  reachability.gaveUp()
  t.notOk(reachability.worthAsking(), 'who gave up counts too')
})

t.test('a client that leaves, and a rate that is used up, say nothing about it', async t => {
  const { reachability, ask } = start()
  await ask(new OciError('TOOMANYREQUESTS', 'x'))
  t.equal(reachability.awayFor, undefined)
  await ask(new Error('left'))
  t.equal(reachability.awayFor, undefined)
})
