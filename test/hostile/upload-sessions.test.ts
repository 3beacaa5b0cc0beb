import { Agent } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { createUploadSessions, ownerOf, SESSION_LIFETIME } from '../../src/registry/upload-session.js'
import { Secret } from '../../src/secret.js'
import { startEcr } from '../ecr/ecr.js'
import { mirrorOf } from '../support/mirror.js'
import type { PlainAnswer } from '../support/requests.js'
import { askExactly } from './support/ask-exactly.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'
import { FarSideSaw } from './support/far-side-saw.js'
import { refusalIn } from './support/own-refusal.js'

const MIRRORS = ['its own', "another registry's", 'with a new key'] as const
/** r13: carol may push elsewhere, and must not learn whether what she has come by is a session. */
const USERS = ['alice', 'bob', 'carol'] as const
const NAMES = ['team/app', 'team/other', 'main/team/app', 'other/team/app', 'other/team/other'] as const
const METHODS = ['PATCH', 'PUT', 'GET', 'DELETE'] as const
const KEY = 'the key that two replicas share'
const DIGEST = `sha256:${'a'.repeat(64)}`

/** Begun for real: each belongs to one user, one name and one mirror. */
const BEGUN = [
  { user: 'alice', name: 'team/app' },
  { user: 'alice', name: 'other/team/app' },
  { user: 'bob', name: 'team/app' },
  { user: 'bob', name: 'team/other' },
] as const

/** Sealed with the right key, as only a mirror can, and still worth nothing to whoever holds them. */
const MISMADE = [
  'expired',
  "r11: a certificate's of the same name",
  "anybody's",
  'of an upstream that is gone',
  'r12: of another registry',
  'of a repository without a name',
  'with a place that is no path',
  'behind its beginning',
] as const

interface Attack {
  readonly mirror: (typeof MIRRORS)[number]
  readonly user: (typeof USERS)[number]
  readonly method: (typeof METHODS)[number]
  readonly name: string
  readonly session: number | (typeof MISMADE)[number]
  readonly change: readonly Change[]
}

type Change =
  | {
      readonly to: 'letter' | 'without' | 'with' | 'until' | 'from'
      readonly at: number
      readonly letter: string
    }
  | { readonly to: 'joined' | 'crossed'; readonly other: number }
  | { readonly to: 'instead'; readonly text: string }

const LETTERS = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')

function changed(text: string, change: Change, begun: readonly string[]): string {
  if ('text' in change) return change.text
  if ('other' in change) {
    const other = begun[change.other]!
    return change.to === 'joined' ? text + other : text.slice(0, 60) + other.slice(60)
  }
  const at = change.at % Math.max(1, text.length)
  const letter = text[at] === change.letter ? (change.letter === 'A' ? 'B' : 'A') : change.letter
  if (change.to === 'letter') return text.slice(0, at) + letter + text.slice(at + 1)
  if (change.to === 'without') return text.slice(0, at) + text.slice(at + 1)
  if (change.to === 'with') return text.slice(0, at) + letter + text.slice(at)
  return change.to === 'until' ? text.slice(0, Math.max(1, at)) : text.slice(at)
}

const isRight = ({ mirror, user, name, session, change }: Attack): boolean =>
  change.length === 0 &&
  mirror === 'its own' &&
  typeof session === 'number' &&
  BEGUN[session]?.user === user &&
  BEGUN[session].name === name

const everywhere = MIRRORS.flatMap(mirror =>
  USERS.flatMap(user =>
    NAMES.flatMap(name =>
      BEGUN.map((_begun, session): Attack => ({ mirror, user, name, session, method: 'PATCH', change: [] })),
    ),
  ),
).filter(attack => !isRight(attack))

const WRITTEN: readonly Attack[] = [
  // Each of them elsewhere, by turns with each method.
  ...everywhere.map((attack, at): Attack => ({ ...attack, method: METHODS[at % METHODS.length]! })),
  ...MISMADE.flatMap(session =>
    METHODS.map((method): Attack => ({
      mirror: 'its own',
      user: 'alice',
      name: 'team/app',
      session,
      method,
      change: [],
    })),
  ),
]

const at = { at: fc.nat(2_000), letter: fc.constantFrom(...LETTERS) }
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ to: fc.constant('letter' as const), ...at }) },
  {
    weight: 3,
    arbitrary: fc.record({
      to: fc.constantFrom('without' as const, 'with' as const, 'until' as const, 'from' as const),
      ...at,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      to: fc.constantFrom('joined' as const, 'crossed' as const),
      other: fc.nat(BEGUN.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .string({ unit: fc.constantFrom(...LETTERS), minLength: 1, maxLength: 400 })
      .map(text => ({ to: 'instead' as const, text })),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 8_190, max: 8_200 })
      .map(length => ({ to: 'instead' as const, text: 'A'.repeat(length) })),
  },
)
const shape: fc.Arbitrary<Attack> = fc
  .record({
    session: fc.nat(BEGUN.length - 1),
    method: fc.constantFrom(...METHODS),
    change: fc.array(change, { minLength: 1, maxLength: 3 }),
  })
  .map(each => ({ mirror: 'its own', ...BEGUN[each.session]!, ...each }))

t.test(
  'an upload session is worth something to its owner, at its place, unaltered; else nothing is asked',
  async t => {
    const [here, there] = [
      { account: '111111111111', region: 'us-east-1' },
      { account: '222222222222', region: 'us-east-1' },
    ]
    const ecr = await startEcr({ profile: 'spec', accounts: [here, there] })
    t.teardown(() => ecr.close())
    const start = (sessionKey: string, main: typeof here, other: typeof here) =>
      mirrorOf(t, ecr, {
        users: USERS.map(user => `${user}:${user}`).join(','),
        settings: {
          uploads: { sessionKey },
          policy: [
            { principals: ['alice', 'bob'], actions: ['pull', 'push'] },
            { principals: ['carol'], repositories: ['elsewhere/**'], actions: ['push'] },
          ],
          upstreams: [
            { name: 'main', where: main, default: true },
            { name: 'other', where: other },
          ].map(({ where, ...upstream }) => ({
            ...upstream,
            host: ecr.hostOf(where),
            endpoint: ecr.url,
            apiEndpoint: ecr.url,
          })),
        },
      })
    const urls: Record<Attack['mirror'], string> = {
      'its own': (await start(KEY, here, there)).url,
      "another registry's": (await start(KEY, there, here)).url,
      'with a new key': (await start('the key that comes after it', here, there)).url,
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 32 })
    t.teardown(() => agent.destroy())
    const ask = (
      mirror: Attack['mirror'],
      user: string,
      method: string,
      path: string,
      body?: Buffer,
    ): Promise<PlainAnswer> =>
      askExactly(urls[mirror], path, {
        method,
        agent,
        headers: {
          authorization: `Basic ${Buffer.from(`${user}:${user}`).toString('base64')}`,
          ...(body && { 'content-length': body.length }),
        },
        ...(body && { body }),
      })

    const begun: string[] = []
    for (const { user, name } of BEGUN) {
      const answer = await ask('its own', user, 'POST', `/v2/${name}/blobs/uploads/`)
      begun.push(answer.headers.location!.split('/').at(-1)!)
    }
    const sessions = createUploadSessions(new Secret(KEY))
    const whole = sessions.open(begun[0]!)!
    const mismade: Record<(typeof MISMADE)[number], string> = {
      expired: sessions.seal({ ...whole, expires: whole.expires - SESSION_LIFETIME - 60_000 }),
      "r11: a certificate's of the same name": sessions.seal({
        ...whole,
        principal: ownerOf({ kind: 'certificate', name: 'alice' }),
      }),
      "anybody's": sessions.seal({ ...whole, principal: '' }),
      'of an upstream that is gone': sessions.seal({ ...whole, upstream: 'gone' }),
      'r12: of another registry': sessions.seal({ ...whole, registry: ecr.hostOf(there) }),
      'of a repository without a name': sessions.seal({ ...whole, repository: '../secret' }),
      'with a place that is no path': sessions.seal({ ...whole, location: 'http://elsewhere.example/' }),
      'behind its beginning': sessions.seal({ ...whole, offset: -1 }),
    }
    // Who has not logged in yet is checked once, and not beside the others.
    for (const mirror of MIRRORS) for (const user of USERS) await ask(mirror, user, 'GET', '/v2/')
    const saw = new FarSideSaw(ecr)
    saw.differences()

    await campaign(
      t,
      attacks('H12', WRITTEN, shape),
      async attack => {
        const { mirror, user, method, name, session, change } = attack
        const genuine = typeof session === 'number' ? begun[session]! : mismade[session]
        const text = change.reduce((text, each) => changed(text, each, begun), genuine)
        // Changes may undo one another.
        const sent = change.length > 0 && text === genuine ? `${text}A` : text
        const isBody = method === 'PATCH' || method === 'PUT'
        const answer = await ask(
          mirror,
          user,
          method,
          `/v2/${name}/blobs/uploads/${sent}${method === 'PUT' ? `?digest=${DIGEST}` : ''}`,
          isBody ? Buffer.from('stolen') : undefined,
        )
        const code = refusalIn(answer, sent === '' ? [404, 405] : [404])
        if (sent !== '' && code !== 'BLOB_UPLOAD_UNKNOWN') throw new Error(code)
      },
      () => saw.differences(),
    )

    for (const [at, { user, name }] of BEGUN.entries()) {
      const answer = await ask(
        'its own',
        user,
        'PATCH',
        `/v2/${name}/blobs/uploads/${begun[at]!}`,
        Buffer.from('own'),
      )
      t.equal(answer.status, 202, `${user} goes on with ${name}`)
    }
  },
)
