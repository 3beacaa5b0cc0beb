import { PassThrough } from 'node:stream'
import t from 'tap'
import { createLog } from '../../src/operations/log.js'

function logTo(format: 'json' | 'pretty', level = 'info') {
  const destination = new PassThrough()
  let text = ''
  destination.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const log = createLog({ level, format, destination })
  return { log, written: () => text, line: () => JSON.parse(text) as Record<string, unknown> }
}

t.test('an error is logged as what it is, and nothing that hangs on it', async t => {
  const { log, line, written } = logTo('json')
  const cause = Object.assign(new TypeError('inner'), { request: { headers: { authorization: 'Basic x' } } })
  const error = Object.assign(new Error('outer', { cause }), { code: 'ECODE', response: 'hanging' })
  log.error({ err: error }, 'failed')
  t.match(line(), {
    msg: 'failed',
    err: { type: 'Error', message: /outer/, code: 'ECODE', cause: { type: 'TypeError', message: 'inner' } },
  })
  t.notMatch(written(), /hanging|Basic x/)
})

t.test('the cause of a refusal is readable, and nothing that hangs on it is written', async t => {
  const { log, line, written } = logTo('json')
  log.warn({ reason: 'why', cause: Object.assign(new Error('connect refused'), { secret: 'hanging' }) })
  t.match(line(), { reason: 'why', cause: { type: 'Error', message: 'connect refused' } })
  t.notMatch(written(), /hanging/)
  const plain = logTo('json')
  plain.log.warn({ cause: { status: 403 } })
  t.match(plain.line(), { cause: { status: 403 } })
})

t.test('credentials are never written, even by mistake', async t => {
  const { log, written } = logTo('json')
  log.info({ authorization: 'SECRET', password: 'SECRET', headers: { authorization: 'SECRET' } })
  t.match(written(), /\[Redacted\]/)
  t.notMatch(written(), /SECRET/)
})

t.test('for people there are lines, and the level counts', async t => {
  const { log, written } = logTo('pretty', 'warn')
  log.info('quiet')
  log.warn('heard')
  await new Promise(resolve => setImmediate(resolve))
  t.match(written(), /heard/)
  t.notMatch(written(), /quiet|^\{/)
})
