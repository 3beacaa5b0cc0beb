import { readFileSync, renameSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config/load.js'
import { createRefusedLogins } from '../../src/operations/audit-trail.js'
import { lineOf, type AuditFields } from '../../src/operations/audit-line.js'
import { USER, type MirrorAnswer } from '../support/mirror.js'
import { digestOf, startPushing } from '../support/pushing.js'

type Line = Readonly<Record<string, unknown>>

async function stand(t: Test, settings: object = {}) {
  const file = `${t.testdir({})}/audit.jsonl`
  const mirror = await startPushing(t, {
    far: { knobs: { layerInaccessibleUntilTagged: false, deleteBlob: true } },
    settings: { audit: { file }, ...settings },
  })
  const lines = (): Line[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line) as Line)
  /** The lines that some work has added, once there are so many; more would show in the next ones. */
  const linesOf = async (count: number, work: () => Promise<unknown>): Promise<Line[]> => {
    const before = lines().length
    await work()
    for (let tries = 0; tries < 1000 && lines().length < before + count; tries++) await pause(5)
    return lines().slice(before)
  }
  const read = async (path: string, init?: RequestInit): Promise<MirrorAnswer> => {
    const answer = await mirror.fetch(path, init)
    await answer.arrayBuffer()
    return answer
  }
  return { ...mirror, file, lines, linesOf, read }
}

const ANYBODY = {
  user: 'ci',
  address: '127.0.0.1',
  upstream: 'main',
  registry: '123456789012.dkr.ecr.us-east-1.amazonaws.com',
  repository: 'team/app',
}

t.test('a pull has a line: who, from where, what, how much, and where it came from', async t => {
  const { ecr, linesOf, read } = await stand(t)
  const { digest } = await ecr.putBlob('team/app', randomBytes(5000))
  const image = await ecr.putImage('team/app', 'v1')

  const [pulled, ...others] = await linesOf(1, () => read('/v2/team/app/manifests/v1'))
  t.same(others, [])
  t.match(pulled, {
    time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
    event: 'pull',
    ...ANYBODY,
    reference: 'v1',
    digest: image.digest,
    bytes: image.bytes.length,
    from: 'upstream',
    status: 200,
    complete: true,
    requestId: /^[0-9a-f-]{36}$/,
  })
  t.match(await linesOf(1, () => read('/v2/team/app/manifests/v1')), [
    { event: 'pull', digest: image.digest, bytes: image.bytes.length, from: 'cache' },
  ])
  t.match(await linesOf(1, () => read(`/v2/team/app/blobs/${digest}`)), [
    { event: 'pull', ...ANYBODY, reference: digest, digest, bytes: 5000, from: 'upstream', status: 200 },
  ])
  t.match(await linesOf(1, () => read(`/v2/team/app/blobs/${digest}`)), [{ from: 'cache' }])
  t.match(await linesOf(1, () => read(`/v2/team/app/blobs/${digest}`, { headers: { range: 'bytes=0-9' } })), [
    { status: 206, bytes: 10 },
  ])
  ecr.knobs.answer.BatchGetImage = [{ status: 404, headers: { 'x-amzn-requestid': 'its-own-id' } }]
  t.match(await linesOf(1, () => read('/v2/team/app/manifests/none')), [
    {
      event: 'pull',
      reference: 'none',
      status: 404,
      bytes: undefined,
      from: undefined,
      upstreamRequestId: 'its-own-id',
    },
  ])
  const rest = await linesOf(1, async () => {
    await read('/v2/')
    await read('/v2/team/app/tags/list')
    await read('/v2/team/app/manifests/v1', { method: 'HEAD' })
    await read('/v2/team/app/manifests/v1')
  })
  t.same(
    rest.map(({ event }) => event),
    ['pull'],
    'to look is not to pull',
  )
})

t.test('a push has a line for each blob and manifest, with all of its bytes', async t => {
  const { begin, step, linesOf, ecr } = await stand(t)
  const bytes = randomBytes(9_000)
  const digest = digestOf(bytes)

  const ways: Readonly<Record<string, () => Promise<unknown>>> = {
    'in chunks': async () => {
      let location = await begin()
      for (const part of [bytes.subarray(0, 6_000), bytes.subarray(6_000)])
        ({ location } = await step('PATCH', location, part))
      await step('PUT', `${location}?digest=${digest}`)
    },
    'with the bytes in the PUT': async () => {
      await step('PUT', `${await begin()}?digest=${digest}`, bytes)
    },
  }
  ecr.knobs.minPart = 0
  for (const [way, push] of Object.entries(ways)) {
    const added = await linesOf(1, push)
    t.match(
      added,
      [{ event: 'push', ...ANYBODY, reference: digest, digest, bytes: 9_000, status: 201, complete: true }],
      way,
    )
    t.equal(added.length, 1, `${way}, one line`)
  }
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', size: 9_000, digest }
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers: [],
    }),
  )
  const type = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }
  t.match(await linesOf(1, () => step('PUT', '/v2/team/app/manifests/v1', manifest, type)), [
    { event: 'push', ...ANYBODY, reference: 'v1', digest: digestOf(manifest), bytes: manifest.length },
  ])
  ecr.knobs.blobMounting = true
  ecr.createRepository('team/other')
  const mount = `/v2/team/other/blobs/uploads/?mount=${digest}&from=team/app`
  t.match(await linesOf(1, () => step('POST', mount)), [
    { event: 'push', repository: 'team/other', reference: digest, digest, bytes: 0, mountedFrom: 'team/app' },
  ])
})

t.test('a push that is refused at any step has a line, with no bytes', async t => {
  const { begin, step, linesOf } = await stand(t, {
    policy: [{ principals: ['ci'], repositories: ['team/app'], actions: ['pull', 'push'] }],
  })
  t.match(await linesOf(1, () => step('POST', '/v2/other/app/blobs/uploads/')), [
    { event: 'push', repository: 'other/app', status: 403, bytes: undefined },
  ])
  t.match(
    await linesOf(1, async () => {
      const location = await begin()
      await step('PATCH', location, Buffer.from('x'), { 'content-range': '7-7' })
    }),
    [{ event: 'push', status: 416, bytes: undefined }],
  )
  t.match(await linesOf(1, () => step('PUT', '/v2/team/app/manifests/v1', Buffer.from('x'))), [
    { event: 'push', reference: 'v1', status: 400, bytes: undefined },
  ])
})

t.test('a deletion has a line, allowed or not', async t => {
  const { ecr, linesOf, step } = await stand(t, {
    policy: [{ principals: ['ci'], repositories: ['team/app'], actions: ['pull', 'delete'] }],
  })
  const { digest } = await ecr.putImage('team/app', 'v1')
  t.match(await linesOf(1, () => step('DELETE', `/v2/team/app/manifests/${digest}`)), [
    { event: 'delete', ...ANYBODY, reference: digest, status: 202 },
  ])
  t.match(await linesOf(1, () => step('DELETE', `/v2/other/app/manifests/${digest}`)), [
    { event: 'delete', repository: 'other/app', status: 403 },
  ])
})

t.test('a refused login has a line, and a flood of them no more than one and its count', async t => {
  const { url, lines, linesOf, app } = await stand(t)
  const login = (user: string, password: string) => async (): Promise<void> => {
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    await (await fetch(`${url}/v2/`, { headers: { authorization } })).arrayBuffer()
  }
  t.match(await linesOf(1, login(USER.name, 'wrong')), [
    { event: 'login refused', user: 'ci', address: '127.0.0.1', status: 401, requestId: String },
  ])
  const unknown = await linesOf(1, login('hunter2-typed-in-the-wrong-place', 'wrong'))
  t.match(unknown, [{ event: 'login refused', user: undefined, status: 401 }])
  await Promise.all(Array.from({ length: 30 }, (_, each) => login(USER.name, `wrong ${each % 3}`)()))
  await (await fetch(`${url}/v2/`)).arrayBuffer()
  t.equal(lines().length, 2, 'nor has who was only asked to log in')
  await app.close()
  t.match(lines().slice(2), [{ event: 'login refused', user: 'ci', address: '127.0.0.1', times: 30 }])
  t.equal(lines().length, 3)
  t.notMatch(JSON.stringify(lines()), /hunter2/, 'what was typed for a name may be a password')
})

t.test('refused logins of ever more names and addresses share a line', async t => {
  const written: AuditFields[] = []
  const logins = createRefusedLogins(fields => written.push(fields))
  const flood = (): void => {
    for (let each = 0; each < 100_000; each++)
      logins.add({ event: 'login refused', user: undefined, address: `10.0.${each >> 8}.${each & 255}` })
    logins.tell()
  }
  flood()
  t.equal(written.length, 101)
  t.match(written.at(-1), { event: 'login refused', times: 99_900 })
  t.equal(written.at(-1)?.['address'], undefined)
  flood()
  t.equal(written.length, 202, 'and in the next minute again')
})

t.test('a line is one line of ASCII JSON, and its texts are cut', async t => {
  const hostile = '"\\\n\r\t\u0000\u001b[31m\u007f\u009b\u2028\ud800é\ufeff'
  const line = lineOf({ hostile, long: 'x'.repeat(100_000), none: undefined, number: 1 })
  t.match(line, /^[\x20-\x7e]+\n$/)
  t.same(JSON.parse(line), { hostile, long: 'x'.repeat(512), number: 1 })
})

t.test('a reload opens the file anew, and one that cannot be opened changes nothing', async t => {
  const { app, configFile, file, lines, linesOf, read } = await stand(t)
  const missing = () => read('/v2/team/app/manifests/none')
  await linesOf(1, missing)
  renameSync(file, `${file}.1`)
  const { config } = await loadConfig({ env: {}, flags: { config: configFile } })
  await app.reload(config)
  t.equal(lines().length, 0)
  await linesOf(1, missing)
  t.equal(readFileSync(`${file}.1`, 'utf8').split('\n').length, 2)
  const wrong = { ...config, audit: { file: `${file}/nowhere` } }
  await t.rejects(app.reload(wrong), { name: 'ConfigError', message: /^audit\.file: .*ENOTDIR/ })
  t.equal((await linesOf(1, missing)).length, 1)
})

t.test('/readyz has how the audit log is', async t => {
  const { app } = await stand(t)
  const answer = (await (await fetch(`${app.operationsUrl}/readyz`)).json()) as { checks: Line[] }
  t.match(
    answer.checks.find(({ name }) => name === 'audit'),
    { ok: true, detail: 'written; 0 lines lost' },
  )
})
