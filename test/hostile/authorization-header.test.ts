import { randomUUID } from 'node:crypto'
import { Agent } from 'node:http'
import Fastify from 'fastify'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createAddressSet } from '../../src/access/address-set.js'
import type { PasswordCheck } from '../../src/access/password-check.js'
import { createPolicy } from '../../src/access/policy.js'
import { Budget } from '../../src/budget.js'
import { ConnectionRoom } from '../../src/connection-room.js'
import { listen } from '../../src/listener.js'
import { answerParserError } from '../../src/registry/errors.js'
import { routeOf } from '../../src/registry/parsed-request.js'
import { registry } from '../../src/registry/registry.js'
import { createRequestBudgets } from '../../src/registry/request-share.js'
import { createUploadSessions } from '../../src/registry/upload-session.js'
import { createUpstreamTable } from '../../src/upstream/upstream-table.js'
import { sendRaw, statusOf } from '../support/raw.js'
import { askExactly } from './support/ask-exactly.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'
import { refusalIn } from './support/own-refusal.js'

const PASSWORD = 'right: pässword'

interface Asked {
  readonly user: string
  readonly password: string
}

/** A registry without anything behind it, which says what passwords it was made to look at. */
async function startDoor(t: Test): Promise<{ readonly url: string; readonly asked: Asked[] }> {
  const asked: Asked[] = []
  const passwords: PasswordCheck = {
    check: async (user, password) => {
      asked.push({ user, password })
      return user === 'ci' && password === PASSWORD ? 'good' : 'bad'
    },
    remembers: () => false,
    knows: user => user === 'ci',
    waiting: 0,
    limit: 64,
    refused: 0,
    remembered: 0,
  }
  const api = Fastify({ rewriteUrl: routeOf, exposeHeadRoutes: false, genReqId: () => randomUUID() })
  registry(api, {
    rules: () => ({
      hasUsers: true,
      passwords,
      policy: createPolicy(),
      upstreams: createUpstreamTable([]),
      trustedProxies: createAddressSet([]),
      certificateName: () => undefined,
    }),
    sessions: createUploadSessions(undefined),
    cache: undefined,
    budgets: createRequestBudgets({
      maxRequests: 1_000,
      manifestMemory: new Budget(Infinity),
      maxManifest: Infinity,
      maxManifestDepth: Infinity,
    }),
    isOperator: () => false,
  })
  await api.ready()
  const listener = await listen({
    address: { host: '127.0.0.1', port: 0 },
    limits: { idleTimeout: 10_000, headersTimeout: 10_000 },
    room: new ConnectionRoom({
      maxConnections: 1_000,
      maxConnectionsPerAddress: 1_000,
      isShared: () => false,
    }),
    certificates: undefined,
    onRequest: (request, response) => api.routing(request, response),
    onParserError: answerParserError,
    onError: error => t.fail(error.message),
  })
  t.teardown(async () => {
    listener.cut()
    await listener.drain()
    await api.close()
  })
  return { url: listener.url, asked }
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** The bytes that base64 stands for, read by its letters (RFC 4648, section 4); undefined for any other spelling. */
function bytesIn(base64: string): Buffer | undefined {
  if (base64.length % 4 !== 0) return undefined
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0
  const sixes = Array.from(base64.slice(0, base64.length - padding), letter => ALPHABET.indexOf(letter))
  if (sixes.includes(-1)) return undefined
  const bits = sixes.map(six => six.toString(2).padStart(6, '0')).join('')
  const length = Math.floor(bits.length / 8)
  if (bits.slice(length * 8).includes('1')) return undefined
  return Buffer.from(Array.from({ length }, (_, at) => parseInt(bits.slice(at * 8, at * 8 + 8), 2)))
}

/** What a header says, or undefined when nothing is to be hashed for it (RFC 7617, in UTF-8). */
function credentialsIn(header: string): Asked | undefined {
  const value = header.replace(/^[ \t]+|[ \t]+$/g, '')
  if (value.length > 8 * 1024 || value.slice(0, 5).toLowerCase() !== 'basic' || value[5] !== ' ')
    return undefined
  const bytes = bytesIn(value.slice(5).replace(/^ +/, ''))
  const text = bytes?.toString('utf8')
  if (bytes === undefined || text === undefined || !Buffer.from(text).equals(bytes)) return undefined
  const isControl = (letter: string): boolean => {
    const code = letter.codePointAt(0)!
    return code < 0x20 || (code >= 0x7f && code < 0xa0)
  }
  if (Array.from(text).some(isControl)) return undefined
  const [user = '', ...rest] = text.split(':')
  return user === '' || rest.length === 0 ? undefined : { user, password: rest.join(':') }
}

const encoded = (text: string | Buffer): string => Buffer.from(text).toString('base64')
const basic = (text: string | Buffer): string => `Basic ${encoded(text)}`
const GOOD = basic(`ci:${PASSWORD}`)

const WRITTEN: readonly string[] = [
  GOOD,
  GOOD.replace('Basic', 'bAsIc'),
  GOOD.replace(' ', '   '),
  `  ${GOOD}  `,
  GOOD.replace(' ', '\t'),
  GOOD.replace(' ', ''),
  GOOD.replace(' ', ', '),
  GOOD.replace(/=+$/, ''),
  `${GOOD}=`,
  `${GOOD}, ${GOOD}`,
  `${GOOD} ${GOOD}`,
  `${GOOD},Bearer x`,
  `Bearer x, ${GOOD}`,
  GOOD.toUpperCase(),
  GOOD.slice(0, -4),
  `Basic "${encoded('ci:x')}"`,
  `Basic ${encodeURIComponent(encoded('ci:>>>???'))}`,
  `Basic ${Buffer.from('ci:>>>???').toString('base64url')}`,
  `Basic ${encoded('ci:x')}\u00e9`,
  '',
  'Basic',
  'Basic ',
  'Basic =',
  'Basic ====',
  'Basic A',
  'Basic Og==',
  'Basic %%%',
  basic(''),
  basic(':'),
  basic(':password'),
  basic('no colon'),
  basic('ci'),
  basic('ci:'),
  basic('ci:wrong'),
  basic('nobody:wrong'),
  basic('ci:\0'),
  basic('ci\0:x'),
  basic('c\ni:x'),
  basic('ci:x\r\nX-Admin: 1'),
  basic('ci:\u0085'),
  basic('ci:\u007f'),
  basic('ci:\u{1f511}'),
  basic('\ufeffci:x'),
  basic('ci\u00a0:x'),
  basic('CI:x'),
  basic('__proto__:x'),
  basic('constructor:x'),
  basic(Buffer.from([0x63, 0x69, 0x3a, 0xff])),
  basic(Buffer.from([0x63, 0x69, 0x3a, 0xc0, 0x80])),
  basic(Buffer.from([0x63, 0x69, 0x3a, 0xed, 0xa0, 0x80])),
  basic(Buffer.from('ci:x', 'utf16le')),
  basic(`ci:${'a'.repeat(6_000)}`),
  basic(`ci:${'a'.repeat(6_200)}`),
  basic(`${'a'.repeat(5_000)}:x`),
  `Basic ${'A'.repeat(8_188)}`,
  'Bearer abc',
  `Bearer ${encoded('ci:x')}`,
  'Digest username="ci", realm="x"',
  'Negotiate TlRMTVNTUAAB',
  'AWS4-HMAC-SHA256 Credential=AKID/20261126/us-east-1/ecr/aws4_request',
  'AWS QUtJRA==',
  'null',
  'undefined',
  '[object Object]',
]

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.tuple(fc.constantFrom('ci', 'CI', 'root', ''), fc.string({ maxLength: 10 })).map(pair => pair.join(':')),
  fc.string({ unit: fc.constantFrom(...Array.from('ci:\0\t\r\n\x7f\u0085\u00a0é')), maxLength: 8 }),
)
const base64 = fc.oneof(
  text.map(encoded),
  fc.uint8Array({ maxLength: 24 }).map(bytes => encoded(Buffer.from(bytes))),
  fc.base64String({ maxLength: 24 }),
  fc
    .tuple(text.map(encoded), fc.nat(), fc.constantFrom(...Array.from('=A-_ %,"\t')))
    .map(([good, seed, put]) => {
      const at = seed % (good.length + 1)
      return good.slice(0, at) + put + good.slice(at)
    }),
  text.map(each => encoded(each).slice(0, -1)),
)
const scheme = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('Basic ', 'basic ', 'BASIC  ') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('Bearer ', 'Basic', 'Basic\t', 'Basic, ', 'Basic:', '', 'Token ', 'Basi '),
  },
)
const shape = fc.tuple(scheme, base64).map(parts => parts.join(''))

t.test(
  'what is no credentials is asked to log in, like anybody, and no password is looked at for it',
  async t => {
    const { url, asked } = await startDoor(t)
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    t.teardown(() => agent.destroy())
    const ask = (headers: Record<string, string>) => askExactly(url, '/v2/', { agent, headers })
    const stranger = await ask({})
    const wrong = await ask({ authorization: basic('ci:wrong') })
    asked.length = 0
    const expected: Asked[] = []
    let malformed = 0

    await campaign(
      t,
      attacks('H10', WRITTEN, shape),
      async authorization => {
        const answer = await ask({ authorization })
        const credentials = credentialsIn(authorization)
        if (credentials) expected.push(credentials)
        else malformed++
        if (credentials?.user === 'ci' && credentials.password === PASSWORD) {
          if (answer.status !== 200) throw new Error(`${answer.status} for the right password`)
          return
        }
        refusalIn(answer, [401])
        const like = credentials ? wrong : stranger
        const { 'x-request-id': id, date, ...headers } = answer.headers
        const { 'x-request-id': otherId, date: otherDate, ...others } = like.headers
        if (id === otherId || date === undefined || otherDate === undefined)
          throw new Error('no id of its own')
        if (JSON.stringify(headers) !== JSON.stringify(others))
          throw new Error(`other headers: ${JSON.stringify(headers)}`)
        if (!answer.bytes.equals(like.bytes)) throw new Error(`another body: ${answer.bytes.toString()}`)
      },
      () => {
        const key = ({ user, password }: Asked): string => JSON.stringify([user, password])
        const [looked, meant] = [asked.map(key).sort(), expected.map(key).sort()]
        asked.length = 0
        expected.length = 0
        if (looked.join() === meant.join()) return []
        return [
          ...looked.filter(each => !meant.includes(each)).map(each => `${each} was looked at`),
          ...meant.filter(each => !looked.includes(each)).map(each => `${each} was not looked at`),
          `${looked.length} passwords for ${meant.length}`,
        ]
      },
    )
    t.ok(malformed > 50, `${malformed} were no credentials`)
  },
)

t.test('two headers, an endless one and one with control characters are no requests at all', async t => {
  const { url, asked } = await startDoor(t)
  const send = (...lines: readonly string[]): Promise<string> =>
    sendRaw(url, `GET /v2/ HTTP/1.1\r\nHost: m\r\n${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`)
  const line = `Authorization: ${GOOD}`
  for (const second of [line, line.toLowerCase(), 'Authorization:', 'AUTHORIZATION: Bearer x']) {
    t.equal(statusOf(await send(line, second)), 400, second)
    t.equal(statusOf(await send(second, line)), 400, second)
  }
  for (const control of ['\0', '\x01', '\x7f', '\x1b'])
    t.equal(statusOf(await send(`Authorization: Basic ${control}${encoded('ci:x')}`)), 400)
  t.equal(statusOf(await send(`Authorization: Basic\r\n ${encoded(`ci:${PASSWORD}`)}`)), 400, 'folded')
  for (const length of [17_000, 64 * 1024]) {
    // It may be cut off while it is still being sent.
    const answer = await send(`Authorization: Basic ${'A'.repeat(length)}`).catch(() => '')
    t.ok(answer === '' || statusOf(answer) === 431, `${length} letters`)
  }
  t.same(asked, [], 'no password was looked at')
  t.equal(statusOf(await send(line)), 200, 'though one line of it is good')
})
