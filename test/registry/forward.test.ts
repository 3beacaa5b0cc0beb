import t from 'tap'
import { authorization, startMirror } from '../support/mirror.js'
import { ask } from '../support/requests.js'

const DIGEST = `sha256:${'a'.repeat(64)}`

t.test("nothing of the proxy's own ways comes into play", async t => {
  const { url, ecr, fetch } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  const asked = (): number => ecr.count({ at: 'registry' })

  const listed = await ask(`${url}/v2/team/app/tags/list`, {
    headers: {
      authorization,
      cookie: 'a=b',
      forwarded: 'for=1.2.3.4',
      'x-forwarded-host': 'evil',
      referer: 'http://x/',
      'x-anything': 'else',
      te: 'trailers',
      accept: 'application/json',
    },
  })
  t.equal(listed.status, 200)
  const sent = ecr.requests.findLast(({ at }) => at === 'registry')!
  t.same(
    Object.keys(sent.headers).sort(),
    ['accept', 'accept-encoding', 'authorization', 'connection', 'host', 'user-agent', 'via'],
    'the headers that reach ECR are the ones on the list',
  )
  t.equal(sent.host, ecr.host)
  t.not(sent.headers.authorization, authorization)

  ecr.knobs.answer.ListImages = [
    {
      status: 302,
      headers: { Location: 'http://127.0.0.1:1/', 'Set-Cookie': 'a=b', Server: 'x', Via: 'y' },
    },
  ]
  const redirected = await fetch('/v2/team/app/tags/list')
  t.equal(redirected.status, 502, 'a redirect of anything but a blob is no answer')
  for (const name of ['location', 'set-cookie', 'server', 'via'])
    t.equal(redirected.headers.get(name), null, name)

  for (const status of [500, 503]) {
    const before = asked()
    ecr.knobs.answer.InitiateLayerUpload = [{ status, headers: { 'Retry-After': '1' }, body: 'secret words' }]
    const failed = await fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
    t.equal(failed.status, 502)
    t.notMatch(await failed.text(), /secret words/)
    t.equal(asked() - before, 1, `${status} is not tried again by anybody where that could do harm`)
  }
})

t.test('an upstream that cannot be reached is 502 in words of our own', async t => {
  const { fetch, ecr } = await startMirror(t, { upstream: { endpoint: 'http://127.0.0.1:9' } })
  for (const [method, path] of [
    ['GET', '/v2/team/app/tags/list'],
    ['GET', '/v2/team/app/manifests/v1'],
    ['HEAD', '/v2/team/app/manifests/v1'],
    ['GET', `/v2/team/app/blobs/${DIGEST}`],
    ['POST', '/v2/team/app/blobs/uploads/'],
  ] as const) {
    const answer = await fetch(path, { method })
    t.equal(answer.status, 502, `${method} ${path}`)
    const text = await answer.text()
    t.notMatch(text, /127\.0\.0\.1|ECONNREFUSED|amazonaws/)
    if (method !== 'HEAD') t.match(text, /ecr-mirror cannot reach the upstream \\"main\\"/)
  }
  t.equal(ecr.count({ at: 'registry' }), 0)
})

t.test('a body and its type on a request that needs none do no harm', async t => {
  const { url, ecr, fetch } = await startMirror(t, {
    settings: { policy: [{ principals: ['*'], repositories: ['**'], actions: ['pull', 'push', 'delete'] }] },
  })
  for (const [type, body] of [
    ['application/json', ''],
    ['application/json', '{'],
    ['text/html', 'x'],
    ['application/octet-stream', 'x'.repeat(2 * 1024 * 1024)],
    [undefined, 'x'],
  ] as const) {
    await ecr.putImage('team/app', 'v1')
    const answer = await ask(`${url}/v2/team/app/manifests/v1`, {
      method: 'DELETE',
      headers: { authorization, 'content-length': body.length, ...(type && { 'content-type': type }) },
      body: Buffer.from(body),
    })
    t.equal(answer.status, 202, `DELETE with ${body.length} bytes of ${type}`)
  }
  for (const type of ['application/json', 'text/plain', 'x/y']) {
    const begun = await fetch('/v2/team/app/blobs/uploads/', {
      method: 'POST',
      headers: { 'content-type': type },
      body: '{',
    })
    t.equal(begun.status, 202, `POST of ${type}`)
    const ended = await ask(url + begun.headers.get('location')!, {
      method: 'DELETE',
      headers: { authorization, 'content-type': type, 'content-length': 1 },
      body: Buffer.from('{'),
    })
    t.equal(ended.status, 204, `DELETE of ${type}`)
  }
})
