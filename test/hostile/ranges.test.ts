import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { authorization, mirrorOf } from '../support/mirror.js'
import type { PlainAnswer } from '../support/requests.js'
import { askExactly } from './support/ask-exactly.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'
import { refusalIn } from './support/own-refusal.js'

const SIZE = 100_000

type Meaning = 'whole' | 'unsatisfiable' | { readonly first: number; readonly last: number }

/**
 * What one Range header may be answered with (RFC 9110, section 14): a server may always ignore it, which this one does
 * to several ranges and to what is none; one that it takes must be exact.
 */
function meaningsOf(header: string, size: number): readonly Meaning[] {
  const [unit = '', set, ...rest] = header.trim().split('=')
  if (unit.toLowerCase() !== 'bytes' || set === undefined || rest.length > 0) return ['whole']
  const [from = '', to, ...further] = set.trim().split('-')
  if (
    to === undefined ||
    further.length > 0 ||
    ![from, to].every(text => /^\d*$/.test(text)) ||
    from + to === ''
  )
    return ['whole']
  const isHuge = from.length > 15 || to.length > 15
  const also: readonly Meaning[] = isHuge ? ['whole'] : []
  if (from === '') {
    const length = BigInt(to)
    if (length === 0n || size === 0) return ['unsatisfiable', ...also]
    return [{ first: Math.max(0, size - Number(length)), last: size - 1 }, ...also]
  }
  // What ends before it begins is no range, and may be ignored or refused.
  if (to !== '' && BigInt(to) < BigInt(from)) return ['whole', 'unsatisfiable']
  if (BigInt(from) >= BigInt(size)) return ['unsatisfiable', ...also]
  return [{ first: Number(from), last: to === '' ? size - 1 : Math.min(Number(to), size - 1) }, ...also]
}

/** Throws unless the answer is one of those. */
function judge(answer: PlainAnswer, bytes: Buffer, header: string): Meaning {
  const meanings = meaningsOf(header, bytes.length)
  if (!answer.complete) throw new Error('a body that broke off')
  for (const meaning of meanings) {
    if (meaning === 'whole') {
      if (answer.status !== 200) continue
      if (!answer.bytes.equals(bytes)) throw new Error('200 with other bytes')
      return meaning
    }
    if (meaning === 'unsatisfiable') {
      if (answer.status !== 416) continue
      refusalIn(answer, [416])
      if (answer.headers['content-range'] !== `bytes */${bytes.length}`)
        throw new Error(`416 with ${answer.headers['content-range']}`)
      return meaning
    }
    if (answer.status !== 206) continue
    const { first, last } = meaning
    if (answer.headers['content-range'] !== `bytes ${first}-${last}/${bytes.length}`)
      throw new Error(`206 with ${answer.headers['content-range']}`)
    if (!answer.bytes.equals(bytes.subarray(first, last + 1))) throw new Error('206 with other bytes')
    return meaning
  }
  throw new Error(`${answer.status} for ${JSON.stringify(meanings)}`)
}

const WRITTEN: readonly string[] = [
  'bytes=0-0',
  'bytes=0-',
  'bytes=-1',
  `bytes=-${SIZE}`,
  `bytes=-${SIZE + 1}`,
  'bytes=-0',
  'bytes=-',
  'bytes=',
  'bytes',
  '',
  '=0-1',
  `bytes=${SIZE - 1}-`,
  `bytes=${SIZE}-`,
  `bytes=${SIZE}-${SIZE}`,
  `bytes=0-${SIZE}`,
  'bytes=5-4',
  'bytes=0-0,1-1',
  'bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-',
  'bytes=0-10,5-15',
  'bytes=0-0,',
  'bytes=,0-0',
  'bytes=-1,0-0',
  `bytes=${Array.from({ length: 1_000 }, (_, at) => `${at}-${at}`).join(',')}`,
  `bytes=${'9'.repeat(15)}-`,
  `bytes=${'9'.repeat(16)}-`,
  `bytes=0-${'9'.repeat(1_000)}`,
  `bytes=-${'9'.repeat(400)}`,
  `bytes=${'0'.repeat(400)}-1`,
  'bytes=--1',
  'bytes=-1-',
  'bytes=1--1',
  'bytes=+1-2',
  'bytes=0x10-0x20',
  'bytes=1e3-2e3',
  'bytes=1.0-2.0',
  'bytes=NaN-NaN',
  'bytes=Infinity-',
  'bytes =0-1',
  'bytes= 0-1',
  'bytes=0 -1',
  'bytes=0- 1',
  'BYTES=0-1',
  'Bytes=0-1',
  'byte=0-1',
  'lines=0-1',
  'seconds=0-',
  'bytes=0-1=2',
  'bytes:0-1',
  'bytes=a-b',
  'bytes=1',
]

const edge = fc.oneof(
  fc.constantFrom(0, 1, 2, SIZE / 2, SIZE - 2, SIZE - 1, SIZE, SIZE + 1, 2 ** 31, 2 ** 32, 2 ** 53),
  fc.nat(SIZE + 10),
)
const single = fc.oneof(
  fc.tuple(edge, edge).map(([from, to]) => `${from}-${to}`),
  edge.map(from => `${from}-`),
  edge.map(length => `-${length}`),
)
const shape: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: single.map(range => `bytes=${range}`) },
  {
    weight: 2,
    arbitrary: fc.array(single, { minLength: 2, maxLength: 20 }).map(all => `bytes=${all.join(',')}`),
  },
  {
    weight: 2,
    arbitrary: fc
      .string({ unit: fc.constantFrom(...Array.from('0123456789-=,bytes \t"*/')), maxLength: 20 })
      .map(text => `bytes=${text}`),
  },
)

interface Ranged {
  readonly ecr: Ecr
  readonly ask: (digest: string, range: string) => Promise<PlainAnswer>
}

async function start(t: Test, isCached: boolean): Promise<Ranged> {
  const ecr = await startEcr({ knobs: { layerInaccessibleUntilTagged: false } })
  t.teardown(() => ecr.close())
  const directory = await mkdtemp(join(tmpdir(), 'ranges-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const { url } = await mirrorOf(t, ecr, {
    upstream: { quotas: { GetDownloadUrlForLayer: 1e6, BatchCheckLayerAvailability: 1e6 } },
    settings: { ...(isCached && { cache: { directory } }) },
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  t.teardown(() => agent.destroy())
  return {
    ecr,
    ask: (digest, range) =>
      askExactly(url, `/v2/team/app/blobs/${digest}`, { agent, headers: { authorization, range } }),
  }
}

t.test('a range of a stored blob is exact, refused or ignored, as the standard has it', async t => {
  const { ecr, ask } = await start(t, true)
  const bytes = randomBytes(SIZE)
  const { digest } = await ecr.putBlob('team/app', bytes)
  judge(await ask(digest, ''), bytes, '')
  const before = ecr.count({ at: 's3' })
  const kinds = new Set<string>()
  await campaign(t, attacks('H7', WRITTEN, shape, 0.5), async range => {
    const meaning = judge(await ask(digest, range), bytes, range)
    kinds.add(typeof meaning === 'string' ? meaning : 'part')
  })
  t.same([...kinds].sort(), ['part', 'unsatisfiable', 'whole'])
  t.equal(ecr.count({ at: 's3' }), before, 'all of it from the cache')
})

t.test('and so it is without a cache', async t => {
  const { ecr, ask } = await start(t, false)
  const bytes = randomBytes(SIZE)
  const { digest } = await ecr.putBlob('team/app', bytes)
  const kinds = new Set<string>()
  await campaign(
    t,
    attacks('H7', WRITTEN, shape, 0.4),
    async range => {
      const meaning = judge(await ask(digest, range), bytes, range)
      kinds.add(typeof meaning === 'string' ? meaning : 'part')
    },
    () => {
      const several = ecr.requests.filter(({ headers }) => headers.range?.includes(','))
      ecr.requests.length = 0
      return several.map(({ url }) => `several ranges were asked for at ${url}`)
    },
  )
  t.same([...kinds].sort(), ['part', 'unsatisfiable', 'whole'])
})

t.test('and while the blob is being fetched, and of an empty one', async t => {
  const { ecr, ask } = await start(t, true)
  ecr.knobs.s3.slow = 2_000_000
  const asked = [...attacks('H7', ['bytes=0-0', `bytes=${SIZE - 1}-`, 'bytes=0-9,20-29'], shape, 0.1)]
  let during = 0
  for (let at = 0; at < asked.length; at += 20) {
    const bytes = randomBytes(SIZE)
    const { digest } = await ecr.putBlob('team/app', bytes)
    const before = ecr.count({ at: 's3' })
    const whole = ask(digest, '')
    await ecr.arrived({ at: 's3' }, before + 1)
    await Promise.all(
      asked.slice(at, at + 20).map(async range => {
        const answer = await ask(digest, range)
        judge(answer, bytes, range)
        if (answer.headers['x-cache'] === 'join') during++
      }),
    )
    judge(await whole, bytes, '')
  }
  t.ok(during > 0, `${during} of ${asked.length} joined a download`)

  const empty = await ecr.putBlob('team/app', Buffer.alloc(0))
  for (const range of ['bytes=0-0', 'bytes=-1', 'bytes=0-', 'bytes=-0', 'bytes=0-0,1-1'])
    judge(await ask(empty.digest, range), Buffer.alloc(0), range)
})
