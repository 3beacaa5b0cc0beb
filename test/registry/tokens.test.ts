import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { mirrorOf, startMirror } from '../support/mirror.js'
import { startEcr } from '../ecr/ecr.js'

t.test('a thousand requests cost one call for a token, however large it is', async t => {
  const { fetch, ecr } = await startMirror(t, {
    ecr: { knobs: { tokenSize: 16 * 1024, layerInaccessibleUntilTagged: false } },
  })
  const image = await ecr.putImage('team/app', 'v1')
  const { digest } = await ecr.putBlob('team/app', randomBytes(100))
  const paths = [
    '/v2/team/app/manifests/v1',
    `/v2/team/app/manifests/${image.digest}`,
    `/v2/team/app/blobs/${digest}`,
    '/v2/team/app/tags/list',
  ]
  const statuses = new Map<number, number>()
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const answer = await fetch(paths[index % paths.length]!)
        await answer.arrayBuffer()
        return answer.status
      }),
    )
    for (const status of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }
  t.same([...statuses], [[200, 1000]])
  t.equal(ecr.count({ at: 'api' }), 1)
  const sent = ecr.requests.find(({ at }) => at === 'registry')!.headers.authorization!
  t.ok(sent.length >= 16 * 1024, 'the token really is that large')
})

for (const profile of ['ecr', 'spec'] as const) {
  t.test(`a token that dies in mid-run costs one renewal and no client an error (${profile})`, async t => {
    const { fetch, ecr } = await startMirror(t, {
      ecr: { profile, knobs: { layerInaccessibleUntilTagged: false } },
      deps: { renewAfter: 0 },
    })
    const image = await ecr.putImage('team/app', 'v1')
    const { bytes, mediaType } = ecr.manifest('team/app', 'v1')!
    const { digest } = await ecr.putBlob('team/app', randomBytes(100))
    t.equal((await fetch('/v2/team/app/manifests/v1')).status, 200)
    await pause(1100)
    ecr.expireTokens()
    const requests: [string, RequestInit][] = [
      ['/v2/team/app/manifests/v1', {}],
      ['/v2/team/app/manifests/v1', { method: 'HEAD' }],
      [`/v2/team/app/manifests/${image.digest}`, {}],
      [`/v2/team/app/blobs/${digest}`, {}],
      [`/v2/team/app/blobs/${digest}`, { method: 'HEAD' }],
      ['/v2/team/app/tags/list', {}],
      ['/v2/team/app/blobs/uploads/', { method: 'POST' }],
      [
        '/v2/team/app/manifests/v2',
        { method: 'PUT', body: new Uint8Array(bytes), headers: { 'content-type': mediaType } },
      ],
    ]
    const answers = await Promise.all([...requests, ...requests].map(([path, init]) => fetch(path, init)))
    for (const [index, answer] of answers.entries()) {
      const [path, { method = 'GET' }] = requests[index % requests.length]!
      t.ok(answer.status < 300, `${method} ${path}: ${answer.status}`)
      await answer.arrayBuffer()
    }
    t.equal(ecr.count({ at: 'api' }), 2)
    t.same(ecr.manifest('team/app', 'v2')!.bytes, bytes)
  })
}

t.test('no token to be had is 503, says where to look, and shows in /readyz; it mends itself', async t => {
  const ecr = await startEcr({
    knobs: {
      answer: {
        GetAuthorizationToken: [
          {
            status: 400,
            body: '{"__type":"AccessDeniedException","message":"arn:aws:iam::1:user/x is not authorized"}',
            times: 2,
          },
        ],
      },
    },
  })
  t.teardown(() => ecr.close())
  const { fetch, app } = await mirrorOf(t, ecr)
  await ecr.putImage('team/app', 'v1')
  const answer = await fetch('/v2/team/app/manifests/v1')
  t.equal(answer.status, 503)
  t.ok(Number(answer.headers.get('retry-after')) > 0)
  t.equal(answer.headers.get('www-authenticate'), null)
  const text = await answer.text()
  t.match(JSON.parse(text).errors[0].message, /credentials|GetAuthorizationToken/)
  t.notMatch(text, /arn:/)
  t.equal((await globalThis.fetch(`${app.operationsUrl}/livez`)).status, 200, 'alive all the same')
  const ready = await globalThis.fetch(`${app.operationsUrl}/readyz`)
  t.equal(ready.status, 503)
  t.match(await ready.json(), { ready: false, checks: [{ name: 'token of main', ok: false }] })
  let status = 503
  for (let tries = 0; tries < 50 && status !== 200; tries++) {
    await pause(200)
    status = (await fetch('/v2/team/app/manifests/v1')).status
  }
  t.equal(status, 200)
  t.equal((await globalThis.fetch(`${app.operationsUrl}/readyz`)).status, 200)
})

t.test("credentials that ECR refuses for good are not the client's fault", async t => {
  const { fetch, ecr } = await startMirror(t)
  ecr.knobs.answer.BatchGetImage = [
    {
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="https://evil.example/"' },
      body: 'Not Authorized\n',
      times: 10,
    },
  ]
  const answer = await fetch('/v2/team/app/manifests/v1')
  t.equal(answer.status, 503)
  t.equal(answer.headers.get('www-authenticate'), null)
  t.equal((await answer.json()).errors[0].code, 'UNKNOWN')
})
