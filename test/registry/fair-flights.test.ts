import t from 'tap'
import { FairFlights } from '../../src/registry/fair-flights.js'
import { FairSlots } from '../../src/registry/fair-slots.js'

const never = new AbortController().signal

function questions(limit: number) {
  const slots = new FairSlots({ limit, perClient: limit, timeout: 50 })
  const flights = new FairFlights<string>(slots)
  /** The questions that are being asked, with what answers each. */
  const asked: {
    key: string
    answer: (text: string) => void
    fail: (error: Error) => void
    signal: AbortSignal
  }[] = []
  const ask = (key: string, client: string, signal = never) =>
    flights.join(
      key,
      client,
      signal,
      asker => new Promise((answer, fail) => asked.push({ key, answer, fail, signal: asker })),
    )
  return { slots, asked, ask }
}

/** Lets everything happen that waits for nothing outside. */
const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('a question that is being asked is joined without a slot', async t => {
  const { slots, asked, ask } = questions(1)
  const answers = [ask('x', 'a')]
  await settled()
  answers.push(ask('x', 'a'), ask('x', 'b'))
  await settled()
  t.equal(asked.length, 1)
  t.equal(slots.inUse, 1)
  t.equal(slots.waiting, 0)
  asked[0]!.answer('yes')
  t.same(await Promise.all(answers), [
    { result: 'yes', first: true },
    { result: 'yes', first: false },
    { result: 'yes', first: false },
  ])
  t.equal(slots.inUse, 0)
})

t.test('the slot belongs to the question, which outlives the client that began it', async t => {
  const { slots, asked, ask } = questions(1)
  const leaving = new AbortController()
  const first = ask('x', 'a', leaving.signal)
  await settled()
  const second = ask('x', 'b')
  leaving.abort(new Error('left'))
  await t.rejects(first, { message: 'left' })
  t.equal(slots.inUse, 1)
  t.match(await ask('y', 'a').catch((error: unknown) => error), { status: 503 })
  asked[0]!.fail(new Error('no'))
  await t.rejects(second, { message: 'no' })
  t.equal(slots.inUse, 0)
})

t.test('who finds the question asked after waiting for a slot gives the slot back', async t => {
  const { slots, asked, ask } = questions(2)
  const both = [ask('x', 'a'), ask('x', 'b')]
  t.equal(slots.inUse, 2)
  await settled()
  t.equal(slots.inUse, 1)
  t.equal(asked.length, 1)
  asked[0]!.answer('yes')
  await Promise.all(both)
  t.equal(slots.inUse, 0)
})

t.test('a client that leaves just as it is given a slot does not keep it', async t => {
  const { slots, asked, ask } = questions(1)
  const leaving = new AbortController()
  const left = ask('x', 'a', leaving.signal)
  leaving.abort(new Error('left'))
  await t.rejects(left, { message: 'left' })
  t.equal(slots.inUse, 0)
  t.equal(asked.length, 0)
})
