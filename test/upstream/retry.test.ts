import { Readable } from 'node:stream'
import t from 'tap'
import { OciError } from '../../src/oci/error.js'
import { retry } from '../../src/upstream/retry.js'
import type { OutboundRequest } from '../../src/upstream/send.js'
import { ConnectionFailure } from '../../src/upstream/transport-error.js'
import { answer, request, scripted, text, until } from './support/server.js'

const refused = new ConnectionFailure('refused', false, undefined)
const closed = new ConnectionFailure('closed', true, undefined)
const slow = new OciError('UNKNOWN', 'too slow', { status: 504 })

const quick = retry({ backoff: 1 })

const KINDS: Record<string, Partial<OutboundRequest>> = {
  GET: { method: 'GET' },
  HEAD: { method: 'HEAD' },
  DELETE: { method: 'DELETE', action: 'BatchDeleteImage' },
  'manifest PUT': { method: 'PUT', action: 'PutImage', body: Buffer.from('m') },
  'upload POST': { method: 'POST', action: 'InitiateLayerUpload' },
  'finishing PUT': { method: 'PUT', action: 'CompleteLayerUpload' },
  'streamed PATCH': { method: 'PATCH', action: 'UploadLayerPart' },
}

const TRIES: Record<string, Record<string, number>> = {
  GET: {
    '429': 3,
    '500': 3,
    '502': 3,
    '503': 3,
    '504': 3,
    '404': 1,
    '501': 1,
    refused: 3,
    closed: 3,
    slow: 1,
  },
  HEAD: { '429': 3, '503': 3, closed: 3 },
  DELETE: { '429': 3, '503': 3, closed: 3, refused: 3 },
  'manifest PUT': { '429': 3, '500': 1, '503': 1, refused: 3, closed: 3, slow: 1 },
  'upload POST': { '429': 3, '500': 1, refused: 3, closed: 3 },
  'finishing PUT': { '429': 3, '503': 3, refused: 3, closed: 3 },
  'streamed PATCH': { '429': 1, '503': 1, refused: 1, closed: 1 },
}

for (const [kind, rows] of Object.entries(TRIES)) {
  for (const [outcome, tries] of Object.entries(rows)) {
    t.test(`a ${kind} is tried ${tries} times in all on ${outcome}`, async t => {
      const failure = { refused, closed, slow }[outcome]
      const { send, asked } = scripted(
        failure ?? ((): ReturnType<typeof answer> => answer(Number(outcome), 'what remains')),
      )
      const stream = kind === 'streamed PATCH' ? { body: Readable.from([Buffer.from('x')]) } : {}
      const sent = quick(send)(request({ ...KINDS[kind], ...stream }))
      if (failure) await t.rejects(sent, failure)
      else t.equal(await text((await sent).body), 'what remains')
      t.equal(asked.length, tries)
    })
  }
}

t.test('an answer says when it may be about an earlier try', async t => {
  const rows: [string, boolean, ...Parameters<typeof scripted>][] = [
    ['to the only try', false, answer(404)],
    ['after a try that was surely in vain', false, answer(429), refused, answer(404)],
    ['after a try whose answer was lost', true, closed, answer(429), answer(404)],
    ['after a try that failed on the other side', true, answer(503), answer(404)],
  ]
  for (const [what, repeated, ...script] of rows) {
    const received = await quick(scripted(...script).send)(request({ method: 'DELETE' }))
    t.equal(received.repeated ?? false, repeated, what)
  }
  const lost = scripted(closed, refused, refused)
  const failure = await quick(lost.send)(request()).catch((error: unknown) => error)
  t.match(failure, { sent: true }, 'and so does a failure')
})

t.test('what went wrong at first is not seen by anybody', async t => {
  const { send, given } = scripted(answer(503, 'busy'), closed, answer(200, 'there'))
  t.equal(await text((await quick(send)(request())).body), 'there')
  await until(() => given[0]?.body.destroyed === true)
  t.ok(given[0]?.body.destroyed)
})

t.test('Retry-After is waited for when there is patience enough', async t => {
  let now = 0
  const clock = { now: () => now }
  const step = retry({ clock, random: () => 0 })
  const far = scripted(() => answer(429, '', { 'retry-after': '9' }))
  const received = await step(far.send)(request({ patience: 8000 }))
  t.equal(received.statusCode, 429)
  t.equal(received.headers['retry-after'], '9')
  t.equal(far.asked.length, 1)

  const later = scripted(() => answer(429, '', { 'retry-after': '21' }))
  t.equal((await step(later.send)(request({ patience: Infinity }))).statusCode, 429, 'but not for ever')
  t.equal(later.asked.length, 1)

  const near = scripted(answer(429, '', { 'retry-after': '0' }), answer(200))
  t.equal((await step(near.send)(request({ patience: 8000 }))).statusCode, 200)

  const late = scripted(() => {
    now += 5000
    return answer(503)
  })
  t.equal((await step(late.send)(request({ patience: 8000 }))).statusCode, 503)
  t.same(
    late.asked.map(({ patience }) => patience),
    [8000, 3000],
  )
})

t.test('after the signal there is no further try', async t => {
  const leaver = new AbortController()
  const reason = new Error('gone')
  const { send, asked } = scripted(answer(503, '', { 'retry-after': '3' }), answer(200))
  const sent = quick(send)(request({ signal: leaver.signal, patience: 10_000 }))
  await until(() => asked.length === 1)
  setImmediate(() => leaver.abort(reason))
  await t.rejects(sent, reason)
  t.equal(asked.length, 1)
})
