import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { Connection } from '../support/connection.js'
import { digestOf, startPushing } from '../support/pushing.js'
import { statusOf } from '../support/raw.js'
import { authorization } from '../support/users.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'

/** One request of an upload that lies, and how it is answered. */
interface Attack {
  readonly method: 'POST' | 'PATCH' | 'PUT'
  readonly what:
    | 'right'
    | 'wrong digest'
    | 'empty for a digest'
    | 'later than it is'
    | 'before its beginning'
    | 'r16: longer by its range'
    | 'backwards'
    | 'no range at all'
    | 'cut short'
    | 'never-ending'
    | 'a chunk that is none'
    | 'a chunk without end'
  readonly size: number
}

/** The status, or undefined where there is nobody left to answer. */
const ANSWERS: Readonly<Record<Attack['what'], number | undefined>> = {
  right: 201,
  'wrong digest': 400,
  'empty for a digest': 400,
  'later than it is': 416,
  'before its beginning': 416,
  'r16: longer by its range': 400,
  backwards: 416,
  'no range at all': 400,
  'cut short': undefined,
  'never-ending': undefined,
  'a chunk that is none': 400,
  'a chunk without end': undefined,
}

const WHATS = Object.keys(ANSWERS) as Attack['what'][]
const ALL: readonly Attack[] = WHATS.flatMap(what =>
  (['PATCH', 'PUT'] as const).map((method): Attack => ({ method, what, size: 1_000 })),
)
const WRITTEN: readonly Attack[] = [
  ...ALL,
  ...(['wrong digest', 'empty for a digest', 'cut short', 'never-ending', 'right'] as const).map(
    (what): Attack => ({ method: 'POST', what, size: 1_000 }),
  ),
]
const shape: fc.Arbitrary<Attack> = fc
  .record({ each: fc.constantFrom(...WRITTEN), size: fc.integer({ min: 2, max: 70_000 }) })
  .map(({ each, size }) => ({ ...each, size }))

const chunk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

/** The headers and the body that go over the wire. */
function written(
  { what, size }: Attack,
  bytes: Buffer,
): { headers: Record<string, string | number>; body: Buffer } {
  const honest = { headers: { 'Content-Length': size }, body: bytes }
  const range = (text: string) => ({ headers: { ...honest.headers, 'Content-Range': text }, body: bytes })
  const chunked = (...parts: Buffer[]) => ({
    headers: { 'Transfer-Encoding': 'chunked' },
    body: Buffer.concat(parts),
  })
  switch (what) {
    case 'right':
    case 'wrong digest':
      return honest
    case 'empty for a digest':
      return { headers: { 'Content-Length': 0 }, body: Buffer.alloc(0) }
    case 'later than it is':
      return range(`100-${99 + size}`)
    case 'before its beginning':
      return range('999999999999999-999999999999999')
    case 'r16: longer by its range':
      return range(`0-${size}`)
    case 'backwards':
      return range('1-0')
    case 'no range at all':
      return range(`bytes=0-${size - 1}`)
    case 'cut short':
      return { headers: { 'Content-Length': size * 2 }, body: bytes }
    case 'never-ending':
      return chunked(...Array.from({ length: 20 }, () => chunk(bytes)))
    case 'a chunk that is none':
      return chunked(chunk(bytes), Buffer.from('zz\r\n'))
    case 'a chunk without end':
      return chunked(Buffer.from(`${(size * 9).toString(16)}\r\n`), bytes)
  }
}

t.test('a body that lies is refused as what it is, and leaves nothing open behind', async t => {
  const pushing = await startPushing(t, { far: { profile: 'spec' } })
  const { url, ecr, ingests } = pushing
  ecr.createRepository('team/app')
  const counts = new Map<string, number>()

  await campaign(
    t,
    attacks('H13', WRITTEN, shape),
    async attack => {
      const { method, what, size } = attack
      const bytes = randomBytes(size)
      const digest = digestOf(what === 'wrong digest' ? randomBytes(8) : bytes)
      const path =
        method === 'POST'
          ? `/v2/team/app/blobs/uploads/?digest=${digest}`
          : (await pushing.begin()) + (method === 'PUT' ? `?digest=${digest}` : '')
      const { headers, body } = written(attack, bytes)
      const lines = Object.entries({ Host: 'm', Authorization: authorization, ...headers })
      const connection = new Connection(url)
      connection.socket.write(
        `${method} ${path} HTTP/1.1\r\n${lines.map(line => line.join(': ')).join('\r\n')}\r\n\r\n`,
      )
      connection.socket.write(body)
      // Every PATCH is well where its digest is not told yet.
      const isOpen = method === 'PATCH' && ['right', 'wrong digest', 'empty for a digest'].includes(what)
      const wanted = isOpen ? 202 : ANSWERS[what]
      if (wanted === undefined) {
        await ecr.arrived(({ method: sent, bodyBytes, done }) => sent === method && (bodyBytes > 0 || done))
        connection.socket.destroy()
        return
      }
      await connection.seen('\r\n\r\n')
      connection.socket.end()
      const status = statusOf(await connection.closed)
      if (status !== wanted) throw new Error(`${status}, not ${wanted}`)
      counts.set(what, (counts.get(what) ?? 0) + 1)
    },
    async () => {
      await ecr.settled()
      const open: string[] = []
      // What is held for a chunk that may follow is on its way in; all else goes with its request.
      for (let tries = 0; tries < 300; tries++) {
        open.length = 0
        const held = ecr.uploads
        const left = (await ingests()).length
        if (left > held) open.push(`${left} files for ${held} uploads`)
        if (open.length === 0) break
        await pause(10)
      }
      ecr.requests.length = 0
      return open
    },
  )
  t.ok(counts.size >= 8, [...counts.keys()].join(', '))
})
