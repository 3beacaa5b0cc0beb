import t from 'tap'
import { OciError } from '../../src/oci/error.js'
import { observe } from '../../src/upstream/observe.js'
import { UNOBSERVED, type RequestOutcome } from '../../src/upstream/observer.js'
import { ConnectionFailure } from '../../src/upstream/transport-error.js'
import { answer, request, scripted } from './support/server.js'

const OUTCOMES: readonly (readonly [what: string, error: Error, outcome: RequestOutcome])[] = [
  ['no connection', new ConnectionFailure('refused', false, undefined), 'unreachable'],
  ['a connection that breaks off', new ConnectionFailure('closed', true, undefined), 'broken_off'],
  ['no answer in time', new OciError('UNKNOWN', 'slow', { status: 504 }), 'timeout'],
  ['anything else', new OciError('UNKNOWN', 'certificate', { status: 502 }), 'failed'],
]

function noting() {
  const told: unknown[] = []
  return {
    told,
    step: observe({
      ...UNOBSERVED,
      began: operation => {
        told.push(operation)
        return outcome => told.push(outcome)
      },
    }),
  }
}

t.test('an answer is told by its status, when it is there', async t => {
  const { told, step } = noting()
  const { send } = scripted(() => answer(404))
  t.equal((await step(send)(request({ action: 'ListImages' }))).statusCode, 404)
  t.same(told, ['ListImages', 404])
})

for (const [what, error, outcome] of OUTCOMES) {
  t.test(`${what} is told as ${outcome}, and goes on as it is`, async t => {
    const { told, step } = noting()
    await t.rejects(step(() => Promise.reject(error))(request({ action: 'PutImage' })), error)
    t.same(told, ['PutImage', outcome])
  })
}

t.test('who gave up waiting is told apart from what failed', async t => {
  const { told, step } = noting()
  const reason = new Error('gone')
  const sent = step(() => Promise.reject(reason))(request({ signal: AbortSignal.abort(reason) }))
  await t.rejects(sent, reason)
  t.equal(told[1], 'aborted')
})
