import t from 'tap'
import { Flights } from '../../src/registry/flights.js'

const never = new AbortController().signal

t.test('one question is asked once, and all who wait get its answer or its failure', async t => {
  const flights = new Flights<string>()
  let asked = 0
  const ask = async (): Promise<string> => {
    asked++
    await new Promise(resolve => setImmediate(resolve))
    if (asked === 2) throw new Error('failed')
    return 'answer'
  }
  const answers = await Promise.all([1, 2, 3].map(() => flights.join('q', never, ask)))
  t.same(
    answers.map(({ result }) => result),
    ['answer', 'answer', 'answer'],
  )
  t.same(
    answers.map(({ first }) => first),
    [true, false, false],
  )
  t.equal(asked, 1)
  const failures = await Promise.allSettled([1, 2].map(() => flights.join('q', never, ask)))
  t.ok(failures.every(({ status }) => status === 'rejected'))
  t.equal(flights.size, 0)
  await Promise.all(['a', 'b'].map(key => flights.join(key, never, ask)))
  t.equal(asked, 4, 'different questions are asked apart')
})

t.test('it goes on as long as somebody waits, and is given up with the last', async t => {
  const flights = new Flights<string>()
  const [one, two] = [new AbortController(), new AbortController()]
  let given: AbortSignal | undefined
  let finish: (answer: string) => void = () => undefined
  const ask = (signal: AbortSignal): Promise<string> => {
    given = signal
    return new Promise((resolve, reject) => {
      finish = resolve
      signal.addEventListener('abort', () => reject(new Error('given up')))
    })
  }
  const first = flights.join('q', one.signal, ask)
  const second = flights.join('q', two.signal, ask)
  one.abort(new Error('left'))
  await t.rejects(first, { message: 'left' })
  t.equal(given?.aborted, false)
  finish('answer')
  t.equal((await second).result, 'answer')

  const alone = flights.join('q', two.signal, ask)
  two.abort(new Error('left too'))
  await t.rejects(alone, { message: 'left too' })
  t.equal(given?.aborted, true)
  t.equal(flights.size, 0)
  await t.rejects(flights.join('q', two.signal, ask), { message: 'left too' })
})
