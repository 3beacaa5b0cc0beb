import { Agent } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { authorization, startMirror } from '../support/mirror.js'
import { askExactly } from './support/ask-exactly.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'
import { FarSideSaw } from './support/far-side-saw.js'
import { refusalIn } from './support/own-refusal.js'

type Endpoint = 'blob' | 'manifest' | 'tags' | 'uploads'

interface Attack {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  readonly endpoint: Endpoint
  readonly name: string
  /** A tag or digest; nothing for tags and uploads. */
  readonly reference: string
}

const METHODS: Readonly<Record<Endpoint, readonly Attack['method'][]>> = {
  blob: ['GET', 'HEAD', 'DELETE'],
  manifest: ['GET', 'HEAD', 'DELETE'],
  tags: ['GET'],
  uploads: ['POST'],
}

/** The grammar of the distribution-spec, read letter by letter and not by the expressions under test. */
const among = (letters: string, text: string): boolean =>
  Array.from(text).every(letter => letters.includes(letter))
const LOWER = 'abcdefghijklmnopqrstuvwxyz'
const DIGITS = '0123456789'
const WORD = LOWER + LOWER.toUpperCase() + DIGITS + '_'

function isName(text: string): boolean {
  if (text.length === 0 || text.length > 255) return false
  return text.split('/').every(component => {
    let separator: string | undefined = ''
    for (const letter of component) {
      if (among(LOWER + DIGITS, letter)) separator = undefined
      else if (separator === undefined && among('._-', letter)) separator = letter
      else if (separator !== undefined && separator.startsWith('-') && letter === '-') separator += '-'
      else if (separator === '_' && letter === '_') separator = '__'
      else return false
    }
    return separator === undefined
  })
}

function isDigest(text: string): boolean {
  const [algorithm, hex = '', ...rest] = text.split(':')
  const length = algorithm === 'sha256' ? 64 : algorithm === 'sha512' ? 128 : -1
  return rest.length === 0 && hex.length === length && among('abcdef' + DIGITS, hex)
}

function isTag(text: string): boolean {
  return text.length >= 1 && text.length <= 128 && among(WORD, text[0]!) && among(`${WORD}.-`, text)
}

/** Whether a first segment can be nothing but a registry of ECR, here one that the mirror does not have. */
function isRegistryOfEcr(segment: string): boolean {
  const [account = '', ...labels] = segment.split('.')
  const isPrivate = account.length === 12 && among(DIGITS, account) && labels.join('.').startsWith('dkr')
  return isPrivate || segment === 'public.ecr.aws' || segment === 'ecr-public.aws.com'
}

/** What the far side has to be asked, or undefined for what goes nowhere. */
function forwarded({ method, endpoint, name, reference }: Attack): string | undefined {
  const isReference =
    endpoint === 'blob'
      ? isDigest(reference)
      : endpoint === 'manifest'
        ? isDigest(reference) || isTag(reference)
        : true
  if (!isName(name) || !isReference) return undefined
  const [first = '', ...rest] = name.split('/')
  const isSegment = rest.length > 0 && first === 'main'
  if (isRegistryOfEcr(first)) return undefined
  return `${method} ${pathOf(endpoint, isSegment ? rest.join('/') : name, reference)}`
}

function pathOf(endpoint: Endpoint, name: string, reference: string): string {
  if (endpoint === 'tags') return `/v2/${name}/tags/list`
  if (endpoint === 'uploads') return `/v2/${name}/blobs/uploads/`
  return `/v2/${name}/${endpoint}s/${reference}`
}

const HEX64 = 'a1'.repeat(32)
const SHA256 = `sha256:${HEX64}`
const SHA512 = `sha512:${HEX64}${HEX64}`
const long = (length: number): string => 'a'.repeat(length)

const NAMES = [
  ...[1, 2, 100, 101, 127, 128, 254, 255, 256, 257, 1_000, 10_000].map(long),
  `${long(127)}/${long(127)}`,
  `${long(128)}/${long(127)}`,
  'main/team/app',
  'main',
  'main/main/main',
  'mAin/team',
  'team/A',
  'a..b',
  'a.b',
  'a.b/c',
  'ghcr.io/a/b',
  'public.ecr.aws/a',
  '999999999999.dkr.ecr.us-east-1.amazonaws.com/a',
  '999999999999.dkr-ecr.us-east-1.on.aws/a',
  'localhost/a',
  'localhost',
  'a___b',
  'a__b',
  'a---b',
  'a-_b',
  'a_.b',
  '-a',
  'a-',
  'a_',
  'a.',
  '.a',
  '_a',
  'a//b',
  'a/',
  '/a',
  'a/./b',
  'a/../b',
  '..',
  'a%2fb',
  'a%2Fb',
  'a%00',
  'a:b',
  'a@b',
  'a+b',
  'a~b',
  'a\\b',
  'é',
  'a\x7f',
  'manifests',
  'blobs/uploads',
  'tags/list',
  'v2/_catalog',
  '__proto__',
  'constructor',
]

const REFERENCES = [
  ...[1, 127, 128, 129, 255, 10_000].map(long),
  '',
  'latest',
  '-latest',
  '.latest',
  '_latest',
  'a+b',
  'a%3ab',
  '__proto__',
  SHA256,
  SHA512,
  SHA256.toUpperCase(),
  SHA256.replace('a1', 'A1'),
  `SHA256:${HEX64}`,
  `sha256:${HEX64.slice(1)}`,
  `sha256:${HEX64}0`,
  `sha512:${HEX64}`,
  `sha256:${HEX64}${HEX64}`,
  `sha256:${HEX64}:`,
  `sha256::${HEX64}`,
  `sha256:${'g'.repeat(64)}`,
  'sha256:',
  'sha256',
  ':',
  `md5:${'a'.repeat(32)}`,
  `sha1:${'a'.repeat(40)}`,
  `sha384:${'a'.repeat(96)}`,
  `sha256+b64:${HEX64}`,
  `sha256:${'a'.repeat(10_000)}`,
  `sha256:..%2f..%2f${HEX64.slice(10)}`,
  `sha256%3a${HEX64}`,
]

const WRITTEN: readonly Attack[] = [
  ...NAMES.map((name): Attack => ({ method: 'GET', endpoint: 'tags', name, reference: '' })),
  ...REFERENCES.flatMap((reference): Attack[] => [
    { method: 'GET', endpoint: 'manifest', name: 'team/app', reference },
    { method: 'HEAD', endpoint: 'blob', name: 'team/app', reference },
  ]),
]

const letters = fc.constantFrom(...Array.from('ab09._-/:%AZ@+~\\'))
const component = fc
  .array(fc.constantFrom('a', 'z9', '0', 'a.b', 'a_b', 'a__b', 'a--b'), { minLength: 1, maxLength: 4 })
  .map(parts => parts.join('x'))
const goodName = fc.array(component, { minLength: 1, maxLength: 5 }).map(parts => parts.join('/'))
const goodDigest = fc
  .tuple(fc.constantFrom(['sha256', 64] as const, ['sha512', 128] as const), fc.infiniteStream(fc.nat(15)))
  .map(([[algorithm, length], digits]) => {
    const hex = Array.from(digits.take(length))
      .map(digit => digit.toString(16))
      .join('')
    return `${algorithm}:${hex}`
  })
const goodTag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/)

/** A text with one letter put in, taken out or put in another's place: as near to the grammar as can be. */
const mutated = (texts: fc.Arbitrary<string>, letter: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(texts, fc.nat(), letter, fc.constantFrom(0, 1)).map(([text, seed, put, taken]) => {
    const at = seed % (text.length + 1)
    return text.slice(0, at) + put + text.slice(at + taken)
  })

const name = fc.oneof(
  goodName,
  mutated(goodName, letters),
  fc.string({ unit: letters, maxLength: 20 }),
  fc.integer({ min: 250, max: 260 }).map(long),
)
// A slash would make it another endpoint, which is the business of paths.
const inReference = letters.filter(letter => letter !== '/')
const reference = fc.oneof(
  goodDigest,
  mutated(goodDigest, inReference),
  goodTag,
  mutated(goodTag, inReference),
  fc.string({ unit: inReference, maxLength: 20 }),
  fc.integer({ min: 120, max: 135 }).map(long),
)

const shape: fc.Arbitrary<Attack> = fc
  .record({
    endpoint: fc.constantFrom('blob', 'manifest', 'tags', 'uploads'),
    name,
    reference,
    pick: fc.nat(2),
  })
  .map(({ endpoint, name, reference, pick }) => {
    const methods = METHODS[endpoint]
    return { method: methods[pick % methods.length]!, endpoint, name, reference }
  })

t.test(
  'a name is taken exactly when it fits the grammar, and the far side is asked what it means',
  async t => {
    const { url, ecr } = await startMirror(t, {
      settings: {
        policy: [{ principals: ['*'], actions: ['pull', 'push', 'delete'] }],
      },
      upstream: { quotas: { InitiateLayerUpload: 1e6, BatchGetImage: 1e6 } },
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    t.teardown(() => agent.destroy())
    const saw = new FarSideSaw(ecr)
    let taken = 0
    await campaign(
      t,
      attacks('H5', WRITTEN, shape),
      async attack => {
        const { method, endpoint, name, reference } = attack
        const expected = forwarded(attack)
        if (expected !== undefined) {
          taken++
          const [, target = ''] = expected.split(' ')
          saw.expect(method, target)
        }
        const answer = await askExactly(url, pathOf(endpoint, name, reference), {
          method,
          agent,
          headers: { authorization },
        })
        // The far side has nothing, so that what it is asked is missing; and ECR deletes no blobs.
        if (method === 'HEAD') {
          if (answer.status !== 400 && answer.status !== 404) throw new Error(`${answer.status}`)
        } else
          refusalIn(answer, expected === undefined ? [400, 404] : method === 'DELETE' ? [404, 405] : [404])
      },
      () => saw.differences(),
    )
    t.ok(taken > 20, 'some fit it')
  },
)
