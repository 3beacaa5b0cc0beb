import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { startMirror } from '../../support/mirror.js'
import { sumOf, toldBy } from '../../support/told.js'

t.setTimeout(60_000)

t.test('a token is told with its age and end, and the calls for it with what came of them', async t => {
  const { app, ecr, fetch } = await startMirror(t, { deps: { renewAfter: 0 } })
  await fetch('/v2/team/app/tags/list')
  const before = await toldBy(app)
  const of = { upstream: 'main' }
  t.equal(sumOf(before, 'ecr_mirror_ecr_token_usable', of), 1)
  const left = (sumOf(before, 'ecr_mirror_ecr_token_expiry_timestamp_seconds', of) ?? 0) - Date.now() / 1000
  t.ok(left > 11 * 3600 && left <= 12 * 3600, `${left} s left`)
  const age = sumOf(before, 'ecr_mirror_ecr_token_age_seconds', of) ?? Infinity
  t.ok(age >= 0 && age < 60, `${age} s old`)
  t.equal(sumOf(before, 'ecr_mirror_ecr_token_refreshes_total', { result: 'ok' }), 1)

  ecr.knobs.iamDenied = { GetAuthorizationToken: true }
  // No token is renewed sooner.
  while ((sumOf(await toldBy(app), 'ecr_mirror_ecr_token_age_seconds') ?? 0) < 1.1) await pause(50)
  ecr.expireTokens()
  await fetch('/v2/team/app/tags/list')
  const after = await toldBy(app)
  t.ok((sumOf(after, 'ecr_mirror_ecr_token_refreshes_total', { result: 'denied' }) ?? 0) >= 1)
  t.equal(sumOf(after, 'ecr_mirror_ecr_token_refreshes_total', { result: 'ok' }), 1)
})

t.test('without a token there is neither age nor end', async t => {
  const { app, fetch } = await startMirror(t, {
    ecr: { knobs: { iamDenied: { GetAuthorizationToken: true } } },
  })
  t.equal((await fetch('/v2/team/app/tags/list')).status, 503)
  const told = await toldBy(app)
  t.equal(sumOf(told, 'ecr_mirror_ecr_token_usable'), 0)
  t.equal(sumOf(told, 'ecr_mirror_ecr_token_age_seconds'), undefined)
  t.equal(sumOf(told, 'ecr_mirror_ecr_token_expiry_timestamp_seconds'), undefined)
})

t.test('an upstream that does not answer is told with since when, until it does', async t => {
  const { app, ecr, fetch } = await startMirror(t)
  ecr.createRepository('team/app')
  ecr.knobs.serverError = { ListImages: 3 }
  await fetch('/v2/team/app/tags/list')
  const away = 'ecr_mirror_upstream_away_seconds'
  t.ok((sumOf(await toldBy(app), away, { upstream: 'main' }) ?? 0) > 0)
  t.equal((await fetch('/v2/team/app/tags/list')).status, 200)
  t.equal(sumOf(await toldBy(app), away), 0)
})

t.test('requests that wait for a turn within the quotas are told', async t => {
  const { app, ecr, fetch } = await startMirror(t, { upstream: { quotas: { ListImages: 1 } } })
  ecr.createRepository('team/app')
  const all = Promise.all([1, 2, 3].map(() => fetch('/v2/team/app/tags/list')))
  const waiting = 'ecr_mirror_upstream_throttled_requests'
  let most = 0
  for (let tries = 0; tries < 500 && most === 0; tries++) most = sumOf(await toldBy(app), waiting) ?? 0
  t.ok(most > 0)
  await all
  t.equal(sumOf(await toldBy(app), waiting), 0)
})
