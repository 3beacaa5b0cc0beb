import t from 'tap'
import { hostileManifests } from '../../bench/attacks/hostile-manifests.js'
import { LARGEST } from '../../bench/attacks/manifests.js'
import { lineOf, missed, notesOf, type AttackReport } from '../../bench/attacks/report.js'
import { run } from '../../bench/attacks/run.js'

const { skip } = process.platform === 'linux' ? { skip: undefined } : { skip: 'Linux only' }

// Each attack starts four processes.
t.setTimeout(300_000)

const calm: AttackReport = {
  name: 'S0',
  title: 'an attack',
  seen: { times: [1, 2, 3], failures: {}, caches: { hit: 3 } },
  figures: [],
  stalls: [],
  loopDelay: 10,
  endedItself: true,
}
const stall = {
  ms: 400,
  waitedMs: 0,
  owner: 'mirror',
  cause: 'src/a.ts:1 a 90 %',
  requests: ['GET /v2/'],
  from: 0,
} as const

t.test('an attack that nobody notices meets every bar', async t => {
  t.same(missed(calm), [])
  t.equal(lineOf(calm), '| S0: an attack | 3 | 0 | 2 | 3 | 3 | 0 | ok |')
})

t.test('each thing that a bystander may not notice is missed by itself', async t => {
  const of = (part: Partial<AttackReport>): string[] => missed({ ...calm, ...part })
  t.same(of({ seen: { ...calm.seen, failures: { 503: 2 } } }), ['failures (503: 2)'])
  t.same(of({ seen: { ...calm.seen, times: [1, 150, 150] } }), ['median 150 of at most 100 ms'])
  t.same(of({ seen: { ...calm.seen, times: [1, 1, 1500] } }), ['worst 1500 of at most 1000 ms'])
  t.same(of({ seen: { ...calm.seen, times: [] } }).length, 1, 'no request at all is no good median')
  t.same(of({ stalls: [stall] }), ['stall 400 of at most 200 ms'])
  t.same(of({ stalls: [{ ...stall, waitedMs: 250 }] }), [], 'what it waited for a CPU is the machine’s')
  t.same(of({ figures: [{ name: 'misses', value: 2, unit: '', atMost: 1 }] }), ['misses 2 of at most 1'])
  t.same(of({ figures: [{ name: 'sent', value: 2, unit: '' }] }), [])
  t.same(of({ loopDelay: undefined }), ['the mirror did not last'])
  t.same(of({ endedItself: false }), ['SIGTERM did not end it'])
})

t.test('the longest stall is told with its cause and the last request', async t => {
  const notes = notesOf({ ...calm, stalls: [{ ...stall, ms: 300, cause: 'other' }, stall] }, 1)
  t.same(notes, [
    "* S0: the bystander's X-Cache: 3 hit",
    '* S0: stall of 400 ms: src/a.ts:1 a 90 %; last request `GET /v2/`',
  ])
})

t.test(
  'hostile manifests are the same for the same seed, and none is larger than a manifest may be',
  async t => {
    const of = (seed: number, size: number) => [...hostileManifests(seed, size)]
    const digests = (seed: number): string[] => of(seed, 3_000).map(({ digest }) => digest)
    t.same(digests(1), digests(1))
    t.not(digests(1).join(), digests(2).join())
    const tags = of(1, 3_000).map(({ name }) => name)
    t.equal(new Set(tags).size, tags.length, 'each has a tag of its own')
    t.ok(tags.every(tag => /^[a-z][a-z0-9-]*$/.test(tag)))
    const sizes: string[] = []
    for (const { name, bytes } of hostileManifests(1, LARGEST))
      if (bytes.length > LARGEST || (!/^(nested|child)/.test(name) && bytes.length < LARGEST / 2))
        sizes.push(`${name}: ${bytes.length}`)
    t.same(sizes, [])
  },
)

t.test('attacks run in little and are told of', { ...(skip && { skip }) }, async t => {
  const told: string[] = []
  const reports = await run({
    quick: true,
    only: ['none', 'S1', 'S6'],
    onAttack: ({ name }) => told.push(name),
    signal: new AbortController().signal,
  })
  t.same(told, ['none', 'S1', 'S6'])
  for (const { name, seen } of reports) {
    // A machine that is busy with other tests may leave some without an answer when the second is over.
    const failures = Object.keys(seen.failures).filter(what => what !== 'no answer')
    t.same(failures, [], name)
    t.ok(seen.caches['hit'], 'the bystander is answered')
  }
})

t.test(
  'an attack that there is none of is refused, and a run that is ended goes no further',
  { ...(skip && { skip }) },
  async t => {
    const told: string[] = []
    const options = {
      quick: true,
      only: [],
      onAttack: ({ name }: AttackReport) => told.push(name),
      signal: new AbortController().signal,
    }
    await t.rejects(run({ ...options, only: ['S99'] }), /no attack S99, but none, S1/)
    await t.rejects(run({ ...options, signal: AbortSignal.abort(new Error('enough')) }), /enough/)
    t.same(told, [])
  },
)
