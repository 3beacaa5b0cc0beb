import t from 'tap'
import { authorization, startMirror, type MirrorAnswer, USER } from '../support/mirror.js'
import { ask as plainly } from '../support/requests.js'

const digest = `sha256:${'a'.repeat(64)}`
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

t.test('every path and method asks for the one Basic login', async t => {
  const { url, ecr } = await startMirror(t)
  const paths = [
    '/v2/',
    '/v2',
    '/',
    '/nowhere',
    '/v2/a/tags/list',
    `/v2/a/blobs/${digest}`,
    '/v2/a/manifests/x',
    '/v2/_catalog',
    '/v2/a/blobs/uploads/',
    '/v2/a/blobs/uploads/x',
    `/v2/a/referrers/${digest}`,
    '/v2/%41',
    '/v2/A/tags/list',
  ]
  for (const path of paths) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      const answer = await fetch(url + path, { method })
      t.equal(answer.status, 401, `${method} ${path}`)
      t.equal(answer.headers.get('www-authenticate'), 'Basic realm="ecr-mirror"')
      t.equal(answer.headers.get('docker-distribution-api-version'), 'registry/2.0')
      const text = await answer.text()
      if (method !== 'HEAD') t.equal(JSON.parse(text).errors[0].code, 'UNAUTHORIZED')
    }
  }
  t.equal(ecr.count({ at: 'registry' }), 0, 'nothing went upstream')
})

t.test('credentials', async t => {
  const { url } = await startMirror(t, { users: 'ci:a:b:c,dev:pässword' })
  const status = async (authorization: string | undefined): Promise<number> =>
    (await fetch(`${url}/v2/`, { headers: authorization === undefined ? {} : { authorization } })).status
  t.equal(await status(basic('ci:a:b:c')), 200, 'a password may have colons')
  t.equal(await status(basic('dev:pässword')), 200, 'and be in UTF-8')
  t.equal(await status('Basic Og=='), 401, 'what podman sends for no credentials is no credentials')
  t.equal(await status(basic('ci:wrong')), 401)
  t.equal(await status(basic('nobody:a:b:c')), 401)
  t.equal(await status('Basic %%%'), 401, 'malformed is 401, not 400')
  t.equal(await status('Bearer abc'), 401)
  t.equal(await status(undefined), 401)
})

t.test('who was refused ten times within a minute waits, and nobody else', async t => {
  const { fetch: asUser } = await startMirror(t, { users: 'ci:right,dev:right' })
  const ask = (text: string): Promise<MirrorAnswer> =>
    asUser('/v2/', { headers: { authorization: basic(text) } })
  t.equal((await ask('ci:right')).status, 200)
  for (let count = 0; count < 10; count++) t.equal((await ask(`ci:wrong${count}`)).status, 401)
  const held = await ask('ci:wrong')
  t.equal(held.status, 429)
  t.ok(Number(held.headers.get('retry-after')) > 0)
  t.equal((await held.json()).errors[0].code, 'TOOMANYREQUESTS')
  t.equal((await ask('ci:right')).status, 200, 'credentials known as good are not held back')
  t.equal((await ask('dev:right')).status, 200, 'another user is not held back')
})

t.test('a route granted to anonymous', async t => {
  const {
    url,
    ecr,
    fetch: asUser,
  } = await startMirror(t, {
    settings: {
      policy: [
        { principals: ['anonymous'], repositories: ['public/**'], actions: ['pull'] },
        { principals: [USER.name], actions: ['pull', 'push'] },
      ],
    },
  })
  await ecr.putImage('public/app', 'v1')
  await ecr.putImage('secret/app', 'v1')
  const status = async (
    path: string,
    headers: Record<string, string> = {},
    method = 'GET',
  ): Promise<number> => (await fetch(url + path, { headers, method })).status
  t.equal(await status('/v2/public/app/manifests/v1'), 200, 'needs no login')
  t.equal(
    await status('/v2/public/app/manifests/v1', { authorization: basic('hubuser:hubpass') }),
    200,
    'takes the credentials of strangers for none',
  )
  t.equal(
    await status('/v2/public/app/manifests/v1', { authorization: basic(`${USER.name}:wrong`) }),
    401,
    'refuses a wrong password of a user',
  )
  t.equal(await status('/v2/secret/app/manifests/v1'), 401, 'another route asks for a login')
  t.equal(await status('/v2/public/app/manifests/v2', {}, 'PUT'), 401, 'another action asks for a login')
  t.equal(await status('/v2/'), 401, 'the base asks for a login whenever there are users')
  t.equal((await asUser('/v2/secret/app/manifests/v1')).status, 200)
  for (let guess = 0; guess < 9; guess++)
    await status('/v2/public/app/manifests/v1', { authorization: basic(`${USER.name}:wrong ${guess}`) })
  t.equal(
    await status('/v2/public/app/manifests/v1', { authorization: basic(`${USER.name}:wrong too`) }),
    429,
    'and bounds how many are tried',
  )
  for (const request of ecr.requests.filter(({ at }) => at === 'registry')) {
    t.notMatch(request.headers.authorization, /aHVidXNlcjpodWJwYXNz/, 'foreign credentials stay here')
  }
})

t.test('the base under a name that is served to anybody', async t => {
  const { url } = await startMirror(t, {
    upstream: { serves: ['docker.io', 'hub.mirror.test'] },
    settings: {
      policy: [
        { principals: ['anonymous'], addresses: ['127.0.0.1/32'], actions: ['pull'] },
        { principals: ['*'], actions: ['pull', 'push'] },
      ],
    },
  })
  const status = async (host: string, authorization?: string): Promise<number> =>
    (await plainly(`${url}/v2/`, { headers: { host, ...(authorization && { authorization }) } })).status
  for (const host of ['hub.mirror.test', 'hub.mirror.test:5000', 'HUB.mirror.test', 'docker.io'])
    t.equal(await status(host), 200, `${host}: dockerd pings a registry mirror without a login`)
  t.equal(await status('hub.mirror.test', basic('hubuser:hubpass')), 200)
  t.equal(await status('hub.mirror.test', basic(`${USER.name}:wrong`)), 401, 'a wrong password is one')
  for (const host of [new URL(url).host, 'other.mirror.test', 'hub.mirror.test.evil.example'])
    t.equal(await status(host), 401, host)
  t.equal(
    (await plainly(`${url}/v2/`, { headers: { host: 'hub.mirror.test', 'x-forwarded-for': '127.0.0.1' } }))
      .status,
    401,
    'only to the addresses of the grant',
  )
  const closed = await startMirror(t, { upstream: { serves: ['hub.mirror.test'] } })
  const answer = await plainly(`${closed.url}/v2/`, { headers: { host: 'hub.mirror.test' } })
  t.equal(answer.status, 401, 'nor where nothing is granted to anybody')
})

t.test('what no grant allows is denied, on every way to it', async t => {
  const { fetch, ecr } = await startMirror(t, {
    settings: { policy: [{ principals: ['*'], repositories: ['team/**'], actions: ['pull'] }] },
  })
  const image = await ecr.putImage('other/app', 'v1')
  const rows: [string, string][] = [
    ['GET', '/v2/other/app/manifests/v1'],
    ['HEAD', '/v2/other/app/manifests/v1'],
    ['GET', `/v2/other/app/manifests/${image.digest}`],
    ['GET', `/v2/other/app/blobs/${digest}`],
    ['HEAD', `/v2/other/app/blobs/${digest}`],
    ['GET', '/v2/other/app/tags/list'],
    ['GET', `/v2/other/app/referrers/${image.digest}`],
    ['POST', '/v2/other/app/blobs/uploads/'],
    ['POST', '/v2/team/app/blobs/uploads/'],
    ['PUT', '/v2/team/app/manifests/v1'],
    ['DELETE', '/v2/team/app/manifests/v1'],
    ['DELETE', `/v2/team/app/blobs/${digest}`],
    ['GET', '/v2/_catalog'],
  ]
  for (const [method, path] of rows) {
    const answer = await fetch(path, { method })
    t.equal(answer.status, 403, `${method} ${path}`)
    if (method !== 'HEAD') {
      const { errors } = await answer.json()
      t.match(errors[0], { code: 'DENIED', message: /ask the mirror's operator/ })
    }
  }
  t.equal(ecr.count({ at: 'registry' }), 0, 'nothing went upstream')
  t.ok(authorization)
})
