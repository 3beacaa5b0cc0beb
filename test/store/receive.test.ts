import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { receive } from '../../src/store/receive.js'

const { signal } = new AbortController()
const chunk = (length: number, fill = 0): Buffer => Buffer.alloc(length, fill)

t.test('chunks that come together are taken together, in order and one batch at a time', async t => {
  const body = new Readable({ read: () => undefined })
  const taken: Buffer[] = []
  let taking = 0
  const receiving = receive(
    body,
    async bytes => {
      t.equal(++taking, 1)
      taken.push(Buffer.from(bytes))
      await turn()
      taking--
      return true
    },
    signal,
  )
  for (let index = 0; index < 10; index++) body.push(chunk(1000, index))
  await turn()
  await turn()
  body.push(chunk(5, 99))
  body.push(null)
  await receiving
  t.same(
    Buffer.concat(taken),
    Buffer.concat([...Array(10).keys()].map(index => chunk(1000, index)).concat(chunk(5, 99))),
  )
  t.ok(taken.length < 5)
  t.ok(body.destroyed)
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('a body waits while what it gave is being taken', async t => {
  let given = 0
  const body = new Readable({
    read() {
      given += 64 * 1024
      this.push(given > 64 * 1024 * 1024 ? null : chunk(64 * 1024))
    },
  })
  let most = 0
  let taken = 0
  await receive(
    body,
    async bytes => {
      taken += bytes.length
      await turn()
      most = Math.max(most, given - taken)
      return true
    },
    signal,
  )
  t.equal(taken, 64 * 1024 * 1024)
  t.ok(most < 1024 * 1024)
})

t.test('what arrived before a body broke off is taken', async t => {
  const body = new Readable({ read: () => undefined })
  let taken = 0
  const receiving = receive(body, async bytes => Boolean((taken += bytes.length)), signal)
  body.push(chunk(10))
  await Promise.resolve()
  setImmediate(() => body.destroy(new Error('reset')))
  await t.rejects(receiving, { message: 'reset' })
  t.equal(taken, 10)
})

t.test('a body that was over before anybody listened', async t => {
  const body = new Readable({ read: () => undefined })
  body.on('error', () => undefined)
  body.destroy(new Error('reset'))
  await turn()
  await t.rejects(
    receive(body, async () => true, signal),
    { message: 'reset' },
  )
})

t.test('enough is enough', async t => {
  const body = new Readable({ read() { this.push(chunk(1000)) } }) // prettier-ignore
  await receive(body, async () => false, signal)
  t.ok(body.destroyed)
})

t.test('what cannot be taken ends the body', async t => {
  const body = new Readable({ read: () => undefined })
  body.push(chunk(1))
  await t.rejects(
    receive(body, () => Promise.reject(new Error('full')), signal),
    { message: 'full' },
  )
  t.ok(body.destroyed)
})

t.test('a signal ends a body that gives nothing', async t => {
  const leaver = new AbortController()
  const body = new Readable({ read: () => undefined })
  const receiving = receive(body, async () => true, leaver.signal)
  leaver.abort(new Error('gone'))
  await t.rejects(receiving, { message: 'gone' })
  t.ok(body.destroyed)
})

t.test('a body of text is none', async t => {
  await t.rejects(
    receive(Readable.from(['text']), async () => true, signal),
    TypeError,
  )
})
