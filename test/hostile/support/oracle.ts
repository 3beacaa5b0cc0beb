import assert from 'node:assert/strict'
import type { PlainAnswer } from '../../support/requests.js'

/** Stands in everything that a hostile upstream says, and in nothing that a client is told. */
export const CANARY = 'far-side-canary'

/** What of an upstream's headers never comes back, whatever it says. */
const NEVER_PASSED_ON = [
  'www-authenticate',
  'proxy-authenticate',
  'proxy-authentication-info',
  'set-cookie',
  'server',
  'via',
  'x-powered-by',
  'alt-svc',
  'upgrade',
  'refresh',
  'strict-transport-security',
  'access-control-allow-origin',
  'content-encoding',
  'trailer',
]

/**
 * What holds for each answer of a mirror before a hostile upstream: its own words, the OCI form of an error, no defect
 * of its own (500), and a Retry-After that a client can obey. Throws.
 */
export function assertOwn(answer: PlainAnswer, about: string): void {
  const { status, headers, bytes } = answer
  for (const name of NEVER_PASSED_ON) assert.equal(headers[name], undefined, `${about}: ${name}`)
  assert.ok(!JSON.stringify(headers).includes(CANARY), `${about}: the upstream speaks in the headers`)
  assert.ok(status >= 200 && status < 600 && status !== 500 && status !== 401, `${about}: ${status}`)
  const { location = '/v2/', link, 'retry-after': after = '1' } = headers
  assert.match(location, /^\/v2\//, `${about}: leads elsewhere`)
  if (link !== undefined) assert.match(String(link), /^<\/v2\//, `${about}: leads elsewhere`)
  assert.match(after, /^[1-9]\d{0,2}$/, `${about}: Retry-After`)
  if (status < 400 || bytes.length === 0) return
  assert.ok(!bytes.includes(CANARY), `${about}: the upstream speaks in the body`)
  const { errors } = JSON.parse(bytes.toString('utf8')) as { errors: [{ code: unknown; message: unknown }] }
  assert.equal(typeof errors[0].code, 'string', about)
  assert.equal(typeof errors[0].message, 'string', about)
}

/** A success is complete only with the bytes that it should have. Throws. */
export function assertNothingWrong(answer: PlainAnswer, expected: Buffer, about: string): void {
  assertOwn(answer, about)
  const { status, bytes, complete } = answer
  if (status >= 300 || !complete) return
  assert.equal(status, 200, about)
  assert.ok(bytes.equals(expected), `${about}: ${bytes.length} wrong bytes, and complete`)
}

/** A success with the bytes that it should have. Throws. */
export function assertRight(answer: PlainAnswer, expected: Buffer, about: string): void {
  assertNothingWrong(answer, expected, about)
  assert.equal(answer.status, 200, `${about}: ${answer.bytes.toString('utf8').slice(0, 300)}`)
  assert.ok(answer.complete, `${about}: cut off`)
}

/**
 * Right in the end, and nothing wrong before: the pool has connections that the attacks of others have spoilt, and a
 * request that is sent down one of them as it breaks is answered with an error, or seen to be cut off.
 */
export async function assertRightSoon(
  ask: () => Promise<PlainAnswer>,
  expected: Buffer,
  about: string,
): Promise<void> {
  for (let tries = 0; tries < 4; tries++) {
    const answer = await ask()
    assertNothingWrong(answer, expected, about)
    if (answer.status === 200 && answer.complete) return
  }
  assertRight(await ask(), expected, about)
}
