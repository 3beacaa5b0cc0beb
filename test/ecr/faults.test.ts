import t from 'tap'
import { ask } from './ask.js'
import { startEcr, type KnobSettings } from './ecr.js'
import { Quotas } from './quotas.js'

const HEAD = { method: 'HEAD' }

t.test('throttling is 429 without Retry-After, for the next n or above a rate', async t => {
  const ecr = await started(t, { throttle: { BatchGetImage: { next: 1 } } })
  const throttled = await ask(ecr, '/v2/a/manifests/1')
  t.equal(throttled.status, 429)
  t.equal(throttled.headers['retry-after'], undefined)
  t.match(throttled.json(), { errors: [{ code: 'TOOMANYREQUESTS', message: 'Rate exceeded' }] })
  t.equal((await ask(ecr, '/v2/a/manifests/1')).status, 200)
  ecr.knobs.throttle = { BatchGetImage: { rate: 0.01 } }
  t.equal((await ask(ecr, '/v2/a/manifests/1', HEAD)).status, 200)
  t.equal((await ask(ecr, '/v2/a/manifests/1', HEAD)).status, 429)
  t.equal((await ask(ecr, '/v2/a/tags/list')).status, 200, 'other actions go on')
})

t.test("AWS's quotas hold by action and account", async t => {
  const ecr = await started(t, { quotas: 'aws' })
  const quotas = new Quotas()
  const allowed = (account: string) =>
    Array.from({ length: 50 }, () => quotas.allow(ecr.knobs, 'PutImage', account)).filter(Boolean).length
  t.equal(allowed('1'), 10)
  t.equal(allowed('2'), 10)
  t.equal(quotas.allow(ecr.knobs, 'BatchGetImage', '1'), true)
  ecr.knobs.quotas = 'off'
  t.equal(allowed('1'), 50)
})

t.test('a denial names who may not do what', async t => {
  const ecr = await started(t, { iamDenied: { BatchGetImage: true } })
  const denied = await ask(ecr, '/v2/a/manifests/1')
  t.equal(denied.status, 403)
  t.match(
    denied.text(),
    /"DENIED","message":"User: arn:aws:sts::123456789012:[^ ]+ is not authorized to perform: ecr:BatchGetImage on resource: arn:aws:ecr:us-east-1:123456789012:repository\/a /,
  )
})

t.test('scripted answers are said as often as told, in order', async t => {
  const ecr = await started(t, {
    answer: {
      BatchGetImage: [
        { status: 418, headers: { 'X-Odd': 'yes' }, body: 'tea', times: 2 },
        { status: 200, body: 'cut off', cutAfterBytes: 3 },
      ],
    },
  })
  for (const reference of ['1', '2']) {
    const odd = await ask(ecr, `/v2/a/manifests/${reference}`)
    t.strictSame([odd.status, odd.headers['x-odd'], odd.text()], [418, 'yes', 'tea'])
  }
  const short = await ask(ecr, '/v2/a/manifests/1')
  t.strictSame([short.text(), short.complete], ['cut', false])
  t.equal((await ask(ecr, '/v2/a/manifests/1')).status, 200)
  ecr.knobs.serverError = { BatchGetImage: 1 }
  t.equal((await ask(ecr, '/v2/a/manifests/1')).status, 500)
  t.equal((await ask(ecr, '/v2/a/manifests/1')).status, 200)
})

t.test('the nth connection is reset', async t => {
  const ecr = await started(t, { resetConnection: { BatchGetImage: 2 } })
  t.equal((await ask(ecr, '/v2/a/manifests/1')).status, 200)
  await t.rejects(ask(ecr, '/v2/a/manifests/1'), { code: 'ECONNRESET' })
  t.equal((await ask(ecr, '/v2/a/manifests/1')).status, 200)
  t.match(ecr.requests[1], { cut: true, aborted: false, status: undefined })
})

t.test('a request that is never answered stays open until its sender leaves', async t => {
  const ecr = await started(t, { hang: { BatchGetImage: 1 }, latency: { ListImages: 30 } })
  const leaving = new AbortController()
  const left = fetch(`${ecr.url}/v2/a/manifests/1`, { signal: leaving.signal }).catch(() => 'left')
  await ecr.arrived({ action: 'BatchGetImage' })
  t.equal(ecr.open, 1)
  t.match(ecr.requests[0], { done: false, status: undefined, action: 'BatchGetImage' })
  leaving.abort()
  t.equal(await left, 'left')
  await ecr.settled()
  t.match(ecr.requests[0], { done: true, aborted: true, cut: false })
  t.equal((await ask(ecr, '/v2/a/tags/list')).status, 200)
  t.equal(ecr.count({ at: 'registry', aborted: false, path: /tags\/list$/ }), 1)
  t.equal(
    ecr.count(request => request.status === 200),
    1,
  )
})

t.test('an answer that is lost is one to a request that was carried out', async t => {
  const ecr = await started(t, { loseAnswer: { BatchDeleteImage: 1 } })
  await t.rejects(ask(ecr, '/v2/a/manifests/1', { method: 'DELETE' }), { code: 'ECONNRESET' })
  t.same(ecr.tags('a'), [])
  t.match(ecr.requests[0], { cut: true, aborted: false, status: undefined })
  t.equal((await ask(ecr, '/v2/a/manifests/1', { method: 'DELETE' })).status, 404)
})

async function started(t: { teardown: (end: () => unknown) => unknown }, knobs: KnobSettings) {
  const ecr = await startEcr({ knobs })
  t.teardown(() => ecr.close())
  await ecr.putImage('a', '1')
  return ecr
}
