import { Agent } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { authorization, startMirror } from '../support/mirror.js'
import { askExactly } from './support/ask-exactly.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'

interface Attack {
  readonly method: 'GET' | 'HEAD'
  readonly of: 'blob' | 'manifest'
  readonly headers: Readonly<Record<string, string>>
}

const BYTES = Buffer.from('what has neither an ETag nor a date of its own')

const DATES = [
  'Thu, 26 Nov 2026 00:00:00 GMT',
  'Thursday, 26-Nov-26 00:00:00 GMT',
  'Thu Nov 26 00:00:00 2026',
  'Thu, 01 Jan 1970 00:00:00 GMT',
  'Fri, 31 Dec 9999 23:59:59 GMT',
  'Thu, 26 Nov 2026 00:00:00 +0100',
  'yesterday',
  '0',
  '-1',
  '',
]
const TAGS = [
  '"a"',
  'W/"a"',
  '*',
  '"',
  '""',
  'W/',
  'a',
  '"a", "b"',
  '"a",W/"b",,"c"',
  `"sha256:${'a'.repeat(64)}"`,
  '',
]
const RANGES = ['bytes=0-3', 'bytes=2-', 'bytes=-5', 'bytes=100-', 'bytes=0-1,3-4', 'nonsense']

const WRITTEN: readonly Attack[] = ['blob' as const, 'manifest' as const].flatMap((of): Attack[] => [
  { method: 'GET', of, headers: {} },
  { method: 'GET', of, headers: { 'if-none-match': TAGS.join(',') } },
  { method: 'HEAD', of, headers: { 'if-modified-since': DATES[0]!, 'if-none-match': '"a"' } },
  { method: 'GET', of, headers: { range: RANGES[0]! } },
  ...[...TAGS, ...DATES].map((condition): Attack => ({
    method: 'GET',
    of,
    headers: { range: RANGES[0]!, 'if-range': condition },
  })),
])

const condition = fc.oneof(
  fc.constantFrom(...TAGS, ...DATES, '\0digest'),
  fc.string({ unit: fc.constantFrom(...Array.from('"\\W/*, abc019-')), maxLength: 15 }),
  fc.array(fc.constantFrom(...TAGS, '\0digest'), { maxLength: 200 }).map(tags => tags.join(', ')),
)
const headers = fc.record(
  {
    'if-match': condition,
    'if-none-match': condition,
    'if-modified-since': condition,
    'if-unmodified-since': condition,
    'if-range': condition,
    range: fc.constantFrom(...RANGES),
  },
  { requiredKeys: [] },
)
const shape: fc.Arbitrary<Attack> = fc.record({
  method: fc.constantFrom('GET', 'HEAD'),
  of: fc.constantFrom('blob', 'manifest'),
  headers,
})

/**
 * What answers a request: nothing that the mirror serves has a validator, so that a precondition on one has nothing to
 * be held against and If-Range is never met; a Range beside it is then not to be looked at (RFC 9110, section 13.1.5).
 */
function expected({ method, of, headers }: Attack): { readonly status: number; readonly bytes?: Buffer } {
  const { range } = headers
  const isRange = method === 'GET' && of === 'blob' && headers['if-range'] === undefined
  if (!isRange || range === 'nonsense' || range === undefined || range.includes(',')) return { status: 200 }
  if (range === 'bytes=100-') return { status: 416 }
  const part = { 'bytes=0-3': [0, 4], 'bytes=2-': [2], 'bytes=-5': [-5] }[range] ?? []
  return { status: 206, bytes: BYTES.subarray(...part) }
}

for (const isCached of [false, true]) {
  t.test(
    `conditions on validators that no answer had change nothing, ${isCached ? 'with' : 'without'} a cache`,
    async t => {
      const { url, ecr } = await startMirror(t, {
        ecr: { knobs: { layerInaccessibleUntilTagged: false } },
        upstream: { quotas: { BatchGetImage: 1e6 } },
        settings: {
          ...(isCached && { cache: { directory: t.testdir({ cache: {} }) + '/cache' } }),
        },
      })
      const { digest } = await ecr.putBlob('team/app', BYTES)
      const manifest = ecr.putManifest('team/app', 'v1', { schemaVersion: 2, layers: [] })
      const agent = new Agent({ keepAlive: true, maxSockets: 32 })
      t.teardown(() => agent.destroy())
      const statuses = new Set<number>()
      await campaign(
        t,
        attacks('H8', WRITTEN, shape, 0.5),
        async attack => {
          const { method, of, headers } = attack
          const validators = Object.entries(headers).map(([name, value]) => [
            name,
            value.replaceAll('\0digest', `"${of === 'blob' ? digest : manifest.digest}"`),
          ])
          const path = of === 'blob' ? `/v2/team/app/blobs/${digest}` : '/v2/team/app/manifests/v1'
          const answer = await askExactly(url, path, {
            method,
            agent,
            headers: { authorization, ...Object.fromEntries(validators) },
          })
          const { status, bytes = of === 'blob' ? BYTES : manifest.bytes } = expected(attack)
          statuses.add(answer.status)
          if (answer.status !== status) throw new Error(`${answer.status}, not ${status}`)
          for (const name of ['etag', 'last-modified'])
            if (answer.headers[name] !== undefined)
              throw new Error(`${name}, which the model knows nothing of`)
          if (method === 'GET' && status < 400 && !answer.bytes.equals(bytes)) throw new Error('other bytes')
          if (!answer.complete) throw new Error('a body that broke off')
        },
        () => {
          const sent = ecr.requests
            .flatMap(({ headers }) => Object.keys(headers))
            .filter(name => name.startsWith('if-'))
          ecr.requests.length = 0
          return sent.map(name => `${name} was sent on`)
        },
      )
      t.ok(statuses.has(206) && statuses.has(200), 'parts and wholes')
    },
  )
}

t.test('r10: a range that hangs on a validator is not looked at, whatever the validator', async t => {
  const { fetch, ecr } = await startMirror(t, { ecr: { knobs: { layerInaccessibleUntilTagged: false } } })
  const { digest } = await ecr.putBlob('team/app', BYTES)
  for (const validator of [`"${digest}"`, 'W/"a"', DATES[0]!]) {
    const answer = await fetch(`/v2/team/app/blobs/${digest}`, {
      headers: { range: 'bytes=1-2', 'if-range': validator },
    })
    t.equal(answer.status, 200, validator)
    t.ok(Buffer.from(await answer.arrayBuffer()).equals(BYTES))
  }
})
