import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import {
  createTokenCache,
  createTokenSource,
  Token,
  type IssuedToken,
  type TokenSource,
} from '../../src/upstream/ecr-token.js'
import { failure, never, until } from './support/server.js'
import { Secret } from '../../src/secret.js'

const HOUR = 3_600_000

interface Rig {
  source: TokenSource
  calls: () => number
  clock: { now(): number; advance(ms: number): void }
}

/** A source whose clock only moves when told, and whose calls give `token-1`, `token-2` and so on. */
function rig(
  t: Test,
  issue: (call: number) => IssuedToken | Promise<IssuedToken> = call => issued(call),
): Rig {
  let now = 1000
  let calls = 0
  const clock = { now: () => now, advance: (ms: number) => void (now += ms) }
  const source = createTokenSource({
    key: 'key',
    cache: createTokenCache(clock),
    clock,
    random: () => 0.5,
    // Longer than any test, so that no timer of real time comes in between.
    minInterval: 600_000,
    maxBackoff: 600_000,
    issue: async () => issue(++calls),
  })
  t.teardown(() => source.close())
  return { source, calls: () => calls, clock }
}

function issued(call: number, life = 12 * HOUR): IssuedToken {
  return { authorization: new Secret(`Basic token${call}`), expiresAt: new Date(Date.now() + life) }
}

class SdkError extends Error {
  constructor(
    override readonly name: string,
    readonly code?: string,
  ) {
    super('arn:aws:iam::123456789012:user/secret at https://api.ecr')
  }
}

t.test('a thousand that ask cost one call', async t => {
  const { source, calls } = rig(t, async call => {
    await new Promise(resolve => setTimeout(resolve, 10))
    return issued(call)
  })
  const tokens = await Promise.all(Array.from({ length: 1000 }, () => source.current(never)))
  t.equal(new Set(tokens).size, 1)
  t.equal((await source.current(never)).authorization.reveal(), 'Basic token1')
  t.equal(calls(), 1)
})

t.test('a token shows itself to nobody who prints it', async t => {
  const { source } = rig(t, () => ({ authorization: new Secret('Basic canary'), expiresAt: undefined }))
  const token = await source.current(never)
  t.notMatch(inspect(token, { depth: 9, showHidden: true }), /canary/)
  t.notMatch(JSON.stringify({ token }), /canary/)
  t.notMatch(Object.values(token).join(), /canary/)
  t.match(token.authorization.reveal(), /canary/)
})

t.test('a token is used until its end by the monotonic clock, and never beyond', async t => {
  const { source, calls, clock } = rig(t)
  await source.current(never)
  clock.advance(12 * HOUR - 5000)
  await source.current(never)
  t.equal(calls(), 1)
  t.ok(source.state().usable)
  clock.advance(10_000)
  t.same(source.state(), { usable: false, expiresIn: undefined, problem: undefined })
  t.equal((await source.current(never)).authorization.reveal(), 'Basic token2')
})

for (const [title, expiresAt] of [
  ['of 2015', new Date('2015-01-01')],
  ['that is missing', undefined],
  ['in a hundred years', new Date(Date.now() + 100 * 365 * 24 * HOUR)],
] as const) {
  t.test(`an expiry ${title} means twelve hours, and no loop of renewals`, async t => {
    const { source, calls, clock } = rig(t, call => ({
      authorization: new Secret(`Basic token${call}`),
      expiresAt,
    }))
    for (let i = 0; i < 50; i++) await source.current(never)
    t.equal(calls(), 1)
    t.equal(source.state().expiresIn, 12 * HOUR)
    clock.advance(12 * HOUR - 1)
    await source.current(never)
    t.equal(calls(), 1)
  })
}

t.test('a refused token is renewed by one call, and a newer one is given without', async t => {
  const { source, calls } = rig(t, async call => {
    await new Promise(resolve => setTimeout(resolve, 5))
    return issued(call)
  })
  const old = await source.current(never)
  // A renewal is due no sooner than the least interval.
  t.equal(await source.renew(old, never), old)
  const {
    source: eager,
    calls: eagerCalls,
    clock,
  } = rig(t, async call => {
    await new Promise(resolve => setTimeout(resolve, 5))
    return issued(call)
  })
  const refused = await eager.current(never)
  clock.advance(700_000)
  const renewed = await Promise.all(Array.from({ length: 50 }, () => eager.renew(refused, never)))
  t.same(new Set(renewed.map(({ authorization }) => authorization.reveal())), new Set(['Basic token2']))
  t.equal((await eager.renew(refused, never)).authorization.reveal(), 'Basic token2')
  t.equal(eagerCalls(), 2)
  t.equal(calls(), 1)
})

t.test('while a renewal is under way the old token is what others get', async t => {
  let finish = (): void => undefined
  const { source, clock } = rig(t, async call => {
    if (call > 1) await new Promise<void>(resolve => (finish = resolve))
    return issued(call)
  })
  const old = await source.current(never)
  clock.advance(700_000)
  const renewal = source.renew(old, never)
  t.equal(await source.current(never), old)
  finish()
  t.equal((await renewal).authorization.reveal(), 'Basic token2')
  t.equal((await source.current(never)).authorization.reveal(), 'Basic token2')
})

t.test('when renewal fails the old token stays in use, and calls are spaced out', async t => {
  const { source, calls, clock } = rig(t, call => {
    if (call > 1) throw new SdkError('ServerException')
    return issued(call)
  })
  const old = await source.current(never)
  clock.advance(700_000)
  t.match(await failure(source.renew(old, never)), { status: 503 })
  t.match(await failure(source.renew(old, never)), { status: 503 })
  t.equal(calls(), 2)
  t.equal(await source.current(never), old)
  t.match(source.state(), { usable: true, problem: 'failed' })
  clock.advance(700_000)
  t.match(await failure(source.renew(old, never)), { status: 503 })
  t.equal(calls(), 3)
  clock.advance(12 * HOUR)
  t.match(await failure(source.current(never)), { status: 503 })
})

t.test('a first call that fails is a 503 for all who wait, and there is no storm of them', async t => {
  const { source, calls, clock } = rig(t, call => {
    if (call === 1) throw new SdkError('CredentialsProviderError')
    return issued(call)
  })
  const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => source.current(never)))
  t.ok(outcomes.every(({ status }) => status === 'rejected'))
  t.equal(calls(), 1)
  await t.rejects(source.current(never), { status: 503, retryAfter: 600, message: /no AWS credentials/ })
  t.equal(calls(), 1)
  t.match(source.state(), { usable: false, problem: 'no-credentials' })
  clock.advance(700_000)
  t.equal((await source.current(never)).authorization.reveal(), 'Basic token2')
  t.equal(source.state().problem, undefined)
})

for (const [error, words] of [
  [new SdkError('CredentialsProviderError'), /no AWS credentials/],
  [new SdkError('AccessDeniedException'), /ecr:GetAuthorizationToken/],
  [new SdkError('UnrecognizedClientException'), /refuses its credentials/],
  [new SdkError('ThrottlingException'), /limits the rate/],
  [new SdkError('TimeoutError'), /in time/],
  [new SdkError('Error', 'ECONNREFUSED'), /cannot reach AWS/],
  [new SdkError('Error', 'ENOTFOUND'), /cannot reach AWS/],
  [new SdkError('WhatIsThat'), /log/],
] as const) {
  t.test(`${error.code ?? error.name} is told without the words of the SDK`, async t => {
    const { source } = rig(t, () => {
      throw error
    })
    const refusal: unknown = await source.current(never).catch((error: unknown) => error)
    t.match(refusal, { status: 503, message: words })
    t.notMatch((refusal as Error).message, /arn:aws|api\.ecr/)
  })
}

t.test('who leaves stops waiting, and the call goes on for the others', async t => {
  let finish = (): void => undefined
  const { source, calls } = rig(t, async call => {
    await new Promise<void>(resolve => (finish = resolve))
    return issued(call)
  })
  const leaver = new AbortController()
  const reason = new Error('gone')
  const left = source.current(leaver.signal)
  const stays = source.current(never)
  leaver.abort(reason)
  await t.rejects(left, reason)
  finish()
  t.equal((await stays).authorization.reveal(), 'Basic token1')
  t.equal(calls(), 1)
  await t.rejects(source.current(AbortSignal.abort(reason)), reason)
})

t.test('a token of two seconds is renewed in the background before it ends', async t => {
  let calls = 0
  const source = createTokenSource({
    key: 'key',
    cache: createTokenCache(),
    minInterval: 10,
    issue: () => Promise.resolve(issued(++calls, 200)),
  })
  t.teardown(() => source.close())
  await source.current(never)
  await until(() => calls >= 4)
  t.ok(source.state().usable)
  t.not((await source.current(never)).authorization.reveal(), 'Basic token1')
})

t.test('a closed source makes no more calls', async t => {
  let calls = 0
  const source = createTokenSource({
    key: 'key',
    cache: createTokenCache(),
    minInterval: 1,
    issue: () => Promise.resolve(issued(++calls, 20)),
  })
  await source.current(never)
  source.close()
  await new Promise(resolve => setTimeout(resolve, 60))
  t.equal(calls, 1)
  t.notOk(source.state().usable)
})

t.test('a token is as long as it is', t => {
  const long = 'x'.repeat(16 * 1024)
  t.equal(new Token(new Secret(`Basic ${long}`), 0, 1).authorization.reveal(), `Basic ${long}`)
  t.end()
})
