import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Agent } from 'undici'
import { Pools } from '../../src/upstream/pools.js'
import { serve, type TestServer } from './support/server.js'

async function asked(t: Test, dispatcher: Agent, { origin }: TestServer): Promise<void> {
  const answer = await dispatcher.request({ origin, method: 'GET', path: '/' })
  t.equal(await answer.body.text(), 'here')
}

/** Waits for what happens once a socket has closed. */
async function until(is: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !(await is()); tries++) await pause(10)
}

t.test('it tells of each origin how many connections there are and what waits', async t => {
  const pools = new Pools()
  const dispatcher = new Agent({ connections: 1, factory: pools.factory })
  t.teardown(() => dispatcher.destroy())
  const release: (() => void)[] = []
  const server = await serve(t, (_request, response) => release.push(() => response.end('here')))
  const both = [asked(t, dispatcher, server), asked(t, dispatcher, server)]
  await until(() => release.length === 1)
  t.same(pools.use(), [{ connections: 1, waiting: 1 }])
  release[0]?.()
  await until(() => release.length === 2)
  release[1]?.()
  await Promise.all(both)
})

t.test('an origin that is not connected any more is forgotten', async t => {
  const pools = new Pools()
  const dispatcher = new Agent({ factory: pools.factory })
  t.teardown(() => dispatcher.destroy())
  const server = await serve(t, (_request, response) => response.setHeader('connection', 'close').end('here'))
  const answered = asked(t, dispatcher, server)
  t.equal(pools.use().length, 1)
  await answered
  await until(() => pools.use().length === 0)
  t.same(pools.use(), [])
})
