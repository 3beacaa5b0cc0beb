import Fastify from 'fastify'
import t from 'tap'
import { health, type Check } from '../../src/operations/health.js'

t.test('/livez is about the process, /readyz about its job', async t => {
  const state = { draining: false, checks: [] as Check[] }
  const app = Fastify()
  t.teardown(() => app.close())
  health(app, { isDraining: () => state.draining, checks: () => Promise.resolve(state.checks) })
  const get = async (url: string) => {
    const answer = await app.inject({ url })
    return { status: answer.statusCode, body: answer.json<Record<string, unknown>>() }
  }
  const good = { name: 'token of main', ok: true, detail: 'valid for 700 min' }
  const bad = { name: 'token of other', ok: false, detail: 'no token: denied' }

  state.checks = [good]
  t.same(await get('/readyz'), {
    status: 200,
    body: { ready: true, draining: false, reasons: [], checks: [good] },
  })
  state.checks = [good, bad]
  t.same(await get('/readyz'), {
    status: 503,
    body: {
      ready: false,
      draining: false,
      reasons: ['token of other: no token: denied'],
      checks: [good, bad],
    },
  })
  t.equal((await get('/livez')).status, 200)
  state.checks = [good]
  state.draining = true
  t.same(await get('/readyz'), {
    status: 503,
    body: { ready: false, draining: true, reasons: ['draining'], checks: [good] },
  })
  t.equal((await get('/livez')).status, 200)
})
