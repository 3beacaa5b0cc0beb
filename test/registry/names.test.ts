import t, { type Test } from 'tap'
import { startEcr, type Ecr } from '../ecr/ecr.js'
import { reachOf } from '../ecr/reach.js'
import { authorization, mirrorOf, type MirrorUnderTest } from '../support/mirror.js'
import { sendRaw, statusOf } from '../support/raw.js'

const OTHER = '210987654321'

interface Stage extends MirrorUnderTest {
  readonly ecr: Ecr
}

/** A mirror of two registries: `main`, the default, and `team`. */
async function start(t: Test, { byDefault = true } = {}): Promise<Stage> {
  const accounts = ['123456789012', OTHER].map(account => ({ account, region: 'us-east-1' }))
  const ecr = await startEcr({ accounts })
  t.teardown(() => ecr.close())
  return mirrorOf(t, ecr, {
    settings: {
      upstreams: [
        { name: 'main', host: ecr.host, default: byDefault, ...reachOf(ecr) },
        { name: 'team', host: ecr.hostOf({ account: OTHER }), serves: ['team.mirror'], ...reachOf(ecr) },
      ],
    },
  })
}

t.test("a first segment that is another registry's name is part of a repository of the default", async t => {
  const { ecr, fetch } = await start(t)
  for (const name of ['ghcr.io/acme/tool', 'localhost/app', 'docker.io/library/nginx', 'team.mirror/app']) {
    const { digest } = await ecr.putImage(name, '1.0')
    const answer = await fetch(`/v2/${name}/manifests/1.0`)
    t.equal(answer.status, 200, name)
    t.equal(answer.headers.get('docker-content-digest'), digest)
    t.equal((await (await fetch(`/v2/${name}/tags/list`)).json()).name, name)
  }
})

t.test(
  'a segment of the form of an ECR host that is none of ours is unknown, and nobody is asked',
  async t => {
    const { ecr, fetch } = await start(t)
    await ecr.arrived({ action: 'GetAuthorizationToken' })
    const before = ecr.requests.length
    for (const host of [
      '333333333333.dkr.ecr.us-east-1.amazonaws.com',
      '333333333333.dkr.ecr.cn-north-1.amazonaws.com.cn',
      '333333333333.dkr.ecr-fips.us-gov-west-1.amazonaws.com',
      '333333333333.dkr-ecr.eu-west-1.on.aws',
      'public.ecr.aws',
    ])
      for (const path of [`${host}/app/manifests/1.0`, `${host}/a/b/tags/list`, `${host}/manifests/1.0`]) {
        const answer = await fetch(`/v2/${path}`)
        t.equal(answer.status, 404, path)
        t.equal((await answer.json()).errors[0].code, 'NAME_UNKNOWN')
      }
    const push = await fetch('/v2/public.ecr.aws/app/blobs/uploads/', { method: 'POST' })
    t.equal(push.status, 404)
    t.equal(ecr.requests.length, before)
  },
)

t.test('a segment with a port, or in upper case, is no name at all', async t => {
  const { url, ecr } = await start(t)
  await ecr.arrived({ action: 'GetAuthorizationToken' })
  const before = ecr.requests.length
  for (const segment of [
    'localhost:5000',
    'GHCR.io',
    `${ecr.host}:443`,
    ecr.host.toUpperCase(),
    'PUBLIC.ECR.AWS',
  ]) {
    const answer = await sendRaw(
      url,
      `GET /v2/${segment}/app/tags/list HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: ${authorization}\r\n\r\n`,
    )
    t.equal(statusOf(answer), 400, segment)
    t.match(answer, /NAME_INVALID/)
  }
  t.equal(ecr.requests.length, before)
})

t.test('without a default such a name is refused with the names that there are', async t => {
  const { fetch } = await start(t, { byDefault: false })
  const answer = await fetch('/v2/ghcr.io/acme/tool/manifests/1.0')
  t.equal(answer.status, 404)
  t.match((await answer.json()).errors, [
    { code: 'NAME_UNKNOWN', message: /no default registry.*main, team/ },
  ])
})

t.test('what is missing at an upstream that the name began with says which one was asked', async t => {
  const { ecr, fetch } = await start(t)
  await ecr.putImage('team/app', '1.0')
  const hidden = await fetch('/v2/team/app/manifests/1.0')
  t.equal(hidden.status, 404, 'it is app of team, not team/app of main')
  t.match(hidden.headers.get('warning'), /^299 - "ecr-mirror: [^"]*the upstream team was asked/)
  const [error] = (await hidden.json()).errors
  t.match(
    error,
    { code: 'NAME_UNKNOWN', message: /^The repository with name 'app' does not exist/ },
    'to the byte',
  )
  t.equal((await fetch('/v2/main/team/app/manifests/1.0')).status, 200)

  ecr.knobs.answer.BatchGetImage = [{ status: 404, body: 'no' }]
  const own = await fetch('/v2/team/app/manifests/1.0')
  t.match((await own.json()).errors, [
    { code: 'MANIFEST_UNKNOWN', message: /upstream "team" has no such manifest/ },
  ])

  for (const [path, method] of [
    ['/v2/team/app/tags/list', 'GET'],
    ['/v2/team/app/blobs/uploads/', 'POST'],
  ] as const) {
    const answer = await fetch(path, { method })
    t.equal(answer.status, 404, path)
    t.match(answer.headers.get('warning'), /the upstream team was asked/)
  }
  const silent: [string, RequestInit, string][] = [
    ['/v2/none/manifests/1.0', {}, 'the default is nobody that a name began with'],
    [`/v2/${ecr.hostOf({ account: OTHER })}/app/manifests/1.0`, {}, 'a host is no word that can be mistaken'],
    ['/v2/team/app/manifests/1.0', { method: 'HEAD' }, 'a push begins with HEADs that are answered so'],
    ['/v2/app/manifests/1.0?ns=team.mirror', {}, 'ns says it outright'],
  ]
  for (const [path, init, why] of silent) {
    const answer = await fetch(path, init)
    t.equal(answer.status, 404, path)
    t.equal(answer.headers.get('warning'), null, why)
  }
})

t.test('the start warns of names that hide repositories of the default registry', async t => {
  const { log } = await start(t)
  t.ok(log.some(({ level, msg }) => level === 40 && /begin with main\/, team\/ are hidden/.test(String(msg))))
})
