import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { authorize, REFUSALS } from '../../src/upstream/authorize.js'
import { Token } from '../../src/upstream/ecr-token.js'
import type { Answer, Send } from '../../src/upstream/send.js'
import { answer, request, scripted, text, until } from './support/server.js'
import { Secret } from '../../src/secret.js'

const EXPIRED = JSON.stringify({
  errors: [
    { code: 'DENIED', message: 'Your authorization token has expired. Reauthenticate and try again.' },
  ],
})
const DENIED = JSON.stringify({
  errors: [{ code: 'DENIED', message: 'User: x is not authorized to perform: ecr:BatchGetImage' }],
})

interface Tokens {
  current(): Promise<Token>
  renew(refused: Token): Promise<Token>
  renewals: number
}

function tokens(
  renew: () => Promise<Token> = () => Promise.resolve(new Token(new Secret('Basic new'), 10_000, 90_000)),
): Tokens {
  const source: Tokens = {
    renewals: 0,
    current: () => Promise.resolve(new Token(new Secret('Basic old'), 0, 80_000)),
    renew: () => {
      source.renewals++
      return renew()
    },
  }
  return source
}

/** `age` is that of the first token, in milliseconds. */
function step(send: Send, source: Tokens, age = 5000): Send {
  return authorize(source, { upstream: 'main', clock: { now: () => age } })(send)
}

const stream = (): Readable => Readable.from([Buffer.from('body')])
const authorizations = (asked: { headers: Readonly<Record<string, string>> }[]): unknown[] =>
  asked.map(({ headers }) => headers.authorization)

async function thrown(promise: Promise<Answer>): Promise<Record<string, unknown>> {
  return promise.then(
    () => ({}),
    (error: unknown) => error as Record<string, unknown>,
  )
}

async function gone(t: Test, { body }: Answer): Promise<void> {
  await until(() => body.destroyed)
  t.ok(body.destroyed, 'the body was taken care of')
}

t.test('the token is added and nothing else changed', async t => {
  const { send, asked } = scripted(answer(200, 'yes'))
  const sent = request({ headers: { accept: 'x' } })
  const received = await step(send, tokens())(sent)
  t.same(asked[0]?.headers, { accept: 'x', authorization: 'Basic old' })
  t.same(sent.headers, { accept: 'x' })
  t.equal(await text(received.body), 'yes')
})

for (const [title, first] of [
  ['401', () => answer(401, 'Not Authorized\n')],
  ['an expired token', () => answer(403, EXPIRED)],
  ['a 403 to a HEAD, which says nothing', () => answer(403)],
  ['any other 403', () => answer(403, DENIED)],
] as const) {
  for (const body of [undefined, Buffer.from('manifest')]) {
    t.test(
      `${title} renews the token once and sends again ${body ? 'with the same body' : 'without a body'}`,
      async t => {
        const { send, asked, given } = scripted(first(), answer(200, 'yes'))
        const source = tokens()
        const received = await step(send, source)(request(body ? { method: 'PUT', body } : {}))
        t.equal(await text(received.body), 'yes')
        t.same(authorizations(asked), ['Basic old', 'Basic new'])
        t.equal(asked[1]?.body, body)
        t.equal(source.renewals, 1)
        await gone(t, given[0] as Answer)
      },
    )
  }
}

t.test('a token younger than five seconds is not renewed', async t => {
  const source = tokens()
  const denied = await step(scripted(answer(403, DENIED)).send, source, 4999)(request())
  t.equal(denied.statusCode, 403)
  t.equal(await text(denied.body), DENIED)
  const refused = scripted(answer(401, 'Not Authorized\n'))
  t.match(await thrown(step(refused.send, source, 4999)(request())), { status: 503, message: /credentials/ })
  t.equal(source.renewals, 0)
  await gone(t, refused.given[0] as Answer)
})

t.test('a token beyond its end is renewed however young', async t => {
  const source: Tokens = {
    ...tokens(),
    current: () => Promise.resolve(new Token(new Secret('Basic old'), 0, 2000)),
  }
  const { send, asked } = scripted(answer(401), answer(200))
  await step(send, source, 2500)(request())
  t.equal(asked.length, 2)
})

t.test('a 403 that stays after the renewal is an answer with its body', async t => {
  const { send, asked } = scripted(answer(403, DENIED), answer(403, DENIED))
  const received = await step(send, tokens())(request())
  t.equal(await text(received.body), DENIED)
  t.equal(asked.length, 2)
})

for (const [title, refusal] of [
  ['401', () => answer(401, 'Not Authorized\n')],
  ['an expired token', () => answer(403, EXPIRED)],
] as const) {
  t.test(`${title} again after the renewal is thrown as the mirror's own trouble`, async t => {
    const { send, given } = scripted(refusal, refusal)
    const error = await thrown(step(send, tokens())(request()))
    t.match(error, { status: 503, message: /credentials/ })
    t.type(error.retryAfter, 'number')
    await gone(t, given[1] as Answer)
  })

  t.test(`${title} under a streamed body is a 503 to try again, and the token is renewed`, async t => {
    const { send, asked, given } = scripted(refusal)
    const source = tokens()
    const error = await thrown(step(send, source)(request({ method: 'PATCH', body: stream() })))
    t.match(error, { status: 503, retryAfter: 1 })
    t.equal(asked.length, 1)
    t.equal(source.renewals, 1)
    await gone(t, given[0] as Answer)
  })
}

t.test('another 403 under a streamed body is an answer, whole', async t => {
  const received = await step(
    scripted(answer(403, DENIED)).send,
    tokens(),
  )(request({ method: 'PATCH', body: stream() }))
  t.equal(received.statusCode, 403)
  t.equal(await text(received.body), DENIED)
})

t.test('a long 403 is handed on whole', async t => {
  const pieces = Array.from({ length: 100 }, (_, i) => Buffer.alloc(4096, i))
  const long: Answer = { statusCode: 403, headers: {}, body: Readable.from(pieces, { objectMode: false }) }
  const received = await step(scripted(long).send, tokens(), 0)(request())
  const chunks: Buffer[] = []
  for await (const chunk of received.body) chunks.push(chunk as Buffer)
  t.ok(Buffer.concat(chunks).equals(Buffer.concat(pieces)))
})

t.test('a 403 that nobody reads lets go of the upstream', async t => {
  const pieces = Array.from({ length: 100 }, () => Buffer.alloc(4096))
  const long: Answer = { statusCode: 403, headers: {}, body: Readable.from(pieces, { objectMode: false }) }
  const received = await step(scripted(long).send, tokens(), 0)(request())
  received.body.destroy()
  await gone(t, long)
})

t.test('when the renewal fails, what surely needs it is refused and what may not is answered', async t => {
  const trouble = Object.assign(new Error('no token'), { status: 503 })
  const failing = (): Tokens => tokens(() => Promise.reject(trouble))
  t.equal(await thrown(step(scripted(answer(401)).send, failing())(request())), trouble)
  t.equal(await thrown(step(scripted(answer(403, EXPIRED)).send, failing())(request())), trouble)
  const denied = await step(scripted(answer(403, DENIED)).send, failing())(request())
  t.equal(await text(denied.body), DENIED)
})

t.test('a renewal that gives the same token does not send again', async t => {
  const same = new Token(new Secret('Basic old'), 0, 80_000)
  const source: Tokens = { ...tokens(() => Promise.resolve(same)), current: () => Promise.resolve(same) }
  const { send, asked } = scripted(answer(401), answer(200))
  t.match(await thrown(step(send, source)(request())), { status: 503 })
  t.equal(asked.length, 1)
})

t.test('ECR Public refuses an old token by 400, which may also be about what was asked', async t => {
  const publicStep = (send: Send, source: Tokens, age = 5000): Send =>
    authorize(source, { upstream: 'public', refusals: REFUSALS.public, clock: { now: () => age } })(send)
  const renewed = tokens()
  const mended = scripted(answer(400, ''), answer(200, 'yes'))
  t.equal((await publicStep(mended.send, renewed)(request())).statusCode, 200)
  t.same(authorizations(mended.asked), ['Basic old', 'Basic new'])
  const asked = scripted(answer(400, 'bad'), answer(400, 'bad'))
  const passed = await publicStep(asked.send, tokens())(request())
  t.equal(passed.statusCode, 400)
  t.equal(await text(passed.body), 'bad')
  const young = tokens()
  t.equal((await publicStep(scripted(answer(400, 'bad')).send, young, 4000)(request())).statusCode, 400)
  t.equal(young.renewals, 0)
  const privateOne = tokens()
  t.equal((await step(scripted(answer(400, 'bad')).send, privateOne)(request())).statusCode, 400)
  t.equal(privateOne.renewals, 0, 'a private registry means what it says')
})
