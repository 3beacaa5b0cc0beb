import t from 'tap'
import { FairSlots, questionSlots } from '../../src/registry/fair-slots.js'

const never = new AbortController().signal

/** Who was given a slot, in order, each with what releases it. */
function line(slots: FairSlots) {
  const granted: string[] = []
  const releases = new Map<string, () => void>()
  const ask = (name: string, signal = never): Promise<void> =>
    slots.acquire(name.slice(0, 1), signal).then(release => {
      granted.push(name)
      releases.set(name, release)
    })
  const release = async (name: string): Promise<void> => {
    releases.get(name)?.()
    await Promise.resolve()
    await Promise.resolve()
  }
  return { granted, ask, release }
}

t.test('a client that holds its quota waits while another is given a slot', async t => {
  const { granted, ask, release } = line(new FairSlots({ limit: 4, perClient: 2 }))
  const third = ['a1', 'a2', 'a3'].map(name => ask(name))[2]
  await ask('b1')
  t.same(granted, ['a1', 'a2', 'b1'])
  await release('b1')
  t.same(granted, ['a1', 'a2', 'b1'], 'a slot of the other makes no room in the quota')
  await release('a1')
  await third
  t.same(granted, ['a1', 'a2', 'b1', 'a3'])
})

t.test('free slots go to clients in turn, whatever each has waiting', async t => {
  const slots = new FairSlots({ limit: 1, perClient: 1 })
  const { granted, ask, release } = line(slots)
  const all = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'b2'].map(name => ask(name))
  t.equal(slots.waiting, 6)
  for (let count = 1; count <= all.length; count++) {
    await Promise.resolve()
    await release(granted.at(-1)!)
  }
  await Promise.all(all)
  t.same(granted, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4'])
  t.equal(slots.waiting, 0)
  t.equal(slots.inUse, 0)
})

t.test('who waits too long is refused, and who leaves is forgotten', async t => {
  const slots = new FairSlots({ limit: 1, perClient: 1, timeout: 20 })
  const release = await slots.acquire('a', never)
  const refused: unknown = await slots.acquire('a', never).catch((error: unknown) => error)
  t.match(refused, { status: 503, retryAfter: 1 })
  const leaving = new AbortController()
  const left = slots.acquire('b', leaving.signal)
  leaving.abort(new Error('left'))
  await t.rejects(left, { message: 'left' })
  await t.rejects(slots.acquire('b', leaving.signal), { message: 'left' })
  t.equal(slots.waiting, 0)
  release()
  release()
  t.equal(slots.inUse, 0, 'a slot is released once')
  t.equal(await slots.run('a', never, async () => slots.inUse), 1)
  await t.rejects(
    slots.run('a', never, () => Promise.reject(new Error('failed'))),
    { message: 'failed' },
  )
  t.equal(slots.inUse, 0)
})

t.test('questions have half of the connections to an upstream, and one client half of these', async t => {
  for (const [connections, limit, perClient] of [
    [128, 64, 32],
    [3, 2, 1],
    [1, 1, 1],
  ] as const) {
    const slots = questionSlots(connections)
    const { granted, ask } = line(slots)
    const leaving = new AbortController()
    const waiting = ['a', 'b', 'c'].flatMap(client =>
      Array.from({ length: connections }, (_, index) => ask(`${client}${index}`, leaving.signal)),
    )
    await Promise.resolve()
    await Promise.resolve()
    t.equal(granted.length, limit)
    t.equal(granted.filter(name => name.startsWith('a')).length, perClient)
    leaving.abort(new Error('left'))
    await Promise.allSettled(waiting)
  }
})
