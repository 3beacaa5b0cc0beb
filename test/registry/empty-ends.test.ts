import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { Connection } from '../support/connection.js'
import { authorization, startMirror, type MirrorUnderTest } from '../support/mirror.js'
import { digestOf } from '../support/pushing.js'
import { ask, type PlainAnswer } from '../support/requests.js'

const bytes = randomBytes(2000)
const digest = digestOf(bytes)

async function patched({ ecr, fetch }: MirrorUnderTest): Promise<string> {
  ecr.createRepository('team/app')
  const begun = await fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
  const answer = await fetch(begun.headers.get('location') ?? '', { method: 'PATCH', body: bytes })
  return answer.headers.get('location') ?? ''
}

/** The ways in which clients say that there is nothing in a body. */
const EMPTY: Readonly<Record<string, { readonly headers: Record<string, string> }>> = {
  'no body': { headers: {} },
  'Content-Length: 0': { headers: { 'content-length': '0' } },
  'chunks without a byte': { headers: { 'transfer-encoding': 'chunked' } },
}

const TROUBLE: Readonly<Record<string, (mirror: MirrorUnderTest) => Promise<void>>> = {
  'a dead token': async ({ ecr }) => {
    // Two calls for a token are at least a second apart.
    await pause(1100)
    ecr.expireTokens()
  },
  'a 429': async ({ ecr }) => void (ecr.knobs.throttle.CompleteLayerUpload = { next: 1 }),
  'a 503': async ({ ecr }) => void (ecr.knobs.answer.CompleteLayerUpload = [{ status: 503, body: 'busy' }]),
  'a connection that is cut': async ({ ecr }) => void (ecr.knobs.resetConnection.CompleteLayerUpload = 1),
}

for (const [how, { headers }] of Object.entries(EMPTY))
  for (const [what, cause] of Object.entries(TROUBLE))
    t.test(`the end of an upload with ${how} that meets ${what} is sent again, unseen`, async t => {
      const mirror = await startMirror(t, { deps: { renewAfter: 0 } })
      const location = await patched(mirror)
      await cause(mirror)
      const ended: PlainAnswer = await ask(`${mirror.url}${location}?digest=${digest}`, {
        method: 'PUT',
        headers: { authorization, ...headers },
      })
      t.equal(ended.status, 201)
      t.same(await mirror.ecr.blob('team/app', digest)?.bytes(), bytes)
      t.equal(mirror.ecr.count({ method: 'PUT' }), 2)
      t.equal(mirror.ecr.requests.at(-1)?.headers['content-length'], '0')
    })

t.test('an empty PATCH, and an empty blob in one POST, are sent again too', async t => {
  const mirror = await startMirror(t, { ecr: { knobs: { singlePost: true } } })
  const location = await patched(mirror)
  const headers = { authorization, 'content-length': '0' }
  mirror.ecr.knobs.throttle.UploadLayerPart = { next: 1 }
  const patch = await ask(mirror.url + location, { method: 'PATCH', headers })
  t.equal(patch.status, 202)
  t.equal(patch.headers.range, `0-${bytes.length - 1}`)
  const nothing = digestOf(Buffer.alloc(0))
  mirror.ecr.knobs.throttle.InitiateLayerUpload = { next: 1 }
  const post = await ask(`${mirror.url}/v2/team/app/blobs/uploads/?digest=${nothing}`, {
    method: 'POST',
    headers,
  })
  t.equal(post.status, 201)
  t.ok(mirror.ecr.blob('team/app', nothing))
})

t.test('bytes that come late in chunks are bytes', async t => {
  const mirror = await startMirror(t, { ecr: { knobs: { minPart: 0 } } })
  const location = await patched(mirror)
  const both = Buffer.concat([bytes, bytes])
  const client = new Connection(mirror.url)
  client.socket.write(
    `PUT ${location}?digest=${digestOf(both)} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\n` +
      'Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n',
  )
  await client.seen('100 Continue')
  await pause(100)
  client.socket.write(`${bytes.length.toString(16)}\r\n`)
  client.socket.write(bytes)
  client.socket.write('\r\n0\r\n\r\n')
  await client.seen('HTTP/1.1 201')
  t.same(await mirror.ecr.blob('team/app', digestOf(both))?.bytes(), both)
  client.socket.destroy()
})

t.test('a client that leaves before the first chunk costs ECR nothing', async t => {
  const mirror = await startMirror(t)
  const location = await patched(mirror)
  const before = mirror.ecr.requests.length
  const client = new Connection(mirror.url)
  client.socket.write(
    `PUT ${location}?digest=${digest} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\n` +
      'Transfer-Encoding: chunked\r\n\r\n',
  )
  await pause(100)
  client.socket.destroy()
  await client.closed
  t.equal(mirror.ecr.requests.length, before)
  t.equal((await mirror.fetch(`${location}?digest=${digest}`, { method: 'PUT' })).status, 201)
})
