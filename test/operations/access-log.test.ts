import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { Connection } from '../support/connection.js'
import { authorization, startMirror } from '../support/mirror.js'

t.test('one line for each request: who, what, with which result', async t => {
  const { url, ecr, fetch, log } = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
  })
  const { digest } = await ecr.putBlob('team/app', randomBytes(5000))
  await ecr.putImage('team/app', 'v1')
  const lines = (): Record<string, unknown>[] => log.filter(({ msg }) => msg === 'request')
  const lineOf = async (work: () => Promise<unknown>): Promise<Record<string, unknown>> => {
    const before = lines().length
    await work()
    while (lines().length === before) await pause(5)
    t.equal(lines().length, before + 1, 'one line')
    return lines().at(-1)!
  }
  const read = async (path: string, init?: RequestInit): Promise<void> => {
    const answer = await fetch(path, init)
    t.equal(answer.headers.get('x-request-id') !== null, true)
    await answer.arrayBuffer()
  }

  t.match(await lineOf(() => read('/v2/team/app/manifests/v1')), {
    requestId: /^[0-9a-f-]{36}$/,
    user: 'ci',
    address: '127.0.0.1',
    method: 'GET',
    endpoint: 'manifest',
    upstream: 'main',
    repository: 'team/app',
    reference: 'v1',
    status: 200,
    complete: true,
    ms: Number,
    upstreamMs: Number,
    upstreamStatus: 200,
  })
  t.match(await lineOf(() => read(`/v2/team/app/blobs/${digest}`)), {
    endpoint: 'blob',
    reference: digest,
    status: 200,
    complete: true,
    bytes: 5000,
  })
  t.match(await lineOf(() => read(`/v2/team/app/blobs/${digest}`, { headers: { range: 'bytes=0-9' } })), {
    status: 206,
    bytes: 10,
  })
  t.match(await lineOf(() => read('/v2/nobody%20knows%0Athis')), { status: 400, endpoint: undefined })
  t.notMatch(JSON.stringify(lines().at(-1)), /nobody/, "a stranger's text is not repeated")

  ecr.knobs.hang.ListImages = 1
  const left = await lineOf(async () => {
    const client = new Connection(url)
    client.socket.write(
      `GET /v2/team/app/tags/list HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\n\r\n`,
    )
    await ecr.arrived({ action: 'ListImages' })
    client.socket.destroy()
  })
  t.match(left, { user: 'ci', endpoint: 'tags', complete: false }, 'who leaves has a line too')

  ecr.knobs.s3.cutAfterBytes = { bytes: 1000, times: 5 }
  const cut = await lineOf(() => read(`/v2/team/app/blobs/${digest}`).catch(() => undefined))
  t.match(cut, { endpoint: 'blob', complete: false }, 'and so has what broke off')
})
