import Fastify, { type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { createCaptures, type Captures, type CapturesOptions } from '../../src/registry/captures.js'
import { beginExchange, type Rules } from '../../src/registry/exchange.js'
import type { UploadSession } from '../../src/registry/upload-session.js'
import { createBlobCache, type BlobCacheEvent } from '../../src/store/blob-cache.js'
import { blobOf, fetchFrom } from '../store/support/blobs.js'
import { FakeClock, settled } from '../store/support/fake-clock.js'
import { MemoryStore } from '../store/support/memory-store.js'
import { never } from '../store/support/reading.js'

interface Stand {
  readonly captures: Captures
  readonly store: MemoryStore
  /** Why captures were dropped. */
  readonly reasons: string[]
}

function stand(t: Test, options: Partial<CapturesOptions> = {}): Stand {
  const store = new MemoryStore()
  const reasons: string[] = []
  const onEvent = (event: BlobCacheEvent): void => {
    if (event.kind === 'capture dropped') reasons.push(event.error.message)
  }
  const blobs = createBlobCache({ store, verify: 'first', clock: new FakeClock(), onEvent })
  t.teardown(() => blobs.close())
  return { captures: createCaptures(Fastify(), { blobs, ...options }), store, reasons }
}

function requestOf(gone: AbortSignal = never): FastifyRequest {
  const request = { raw: {} } as unknown as FastifyRequest
  beginExchange(request, {} as Rules, () => gone)
  return request
}

function sessionOf(id: string, offset = 0): UploadSession {
  return {
    id,
    principal: 'ci',
    upstream: 'main',
    registry: '123456789012.dkr.ecr.us-east-1.amazonaws.com',
    name: 'team/app',
    repository: 'team/app',
    location: '/v2/team/app/blobs/uploads/1',
    offset,
    expires: Infinity,
  }
}

const { bytes, digest } = blobOf('pushed', 1000)

/** One request that brings so many of the bytes; says whether they were captured. */
async function part(captures: Captures, session: UploadSession, count: number): Promise<boolean> {
  const request = requestOf()
  const capture = captures.resume(request, session)
  await capture?.write(bytes.subarray(session.offset, session.offset + count))
  captures.hold(request, session)
  await settled()
  return capture !== undefined
}

t.test('an upload goes on with the capture that it began with', async t => {
  const { captures, store, reasons } = stand(t)
  t.equal(await part(captures, sessionOf('a'), 300), true)
  t.equal(await part(captures, sessionOf('a', 300), 500), true)
  t.equal(store.ingests, 1)
  const last = requestOf()
  captures.resume(last, sessionOf('a', 800))?.write(bytes.subarray(800))
  captures.keep(last, digest, bytes.length)
  await settled()
  t.same(await fetchFrom(store, digest), bytes)
  t.same(reasons, [])
})

t.test('an upload that is not where its capture is goes on without one', async t => {
  const { captures, store, reasons } = stand(t)
  t.equal(await part(captures, sessionOf('begun elsewhere', 100), 10), false)
  for (const offset of [0, 200, 400]) {
    await part(captures, sessionOf('a'), 300)
    t.equal(await part(captures, sessionOf('a', offset), 10), false)
    t.equal(store.ingests, 0)
  }
  t.same(reasons, Array(3).fill('The upload went on elsewhere.'))
})

t.test('a capture is kept only when it is as long as the upload', async t => {
  const { captures, store, reasons } = stand(t)
  const request = requestOf()
  captures.begin(request)?.write(bytes)
  captures.keep(request, digest, bytes.length + 1)
  await settled()
  t.equal(await store.open(digest), undefined)
  t.equal(store.ingests, 0)
  t.same(reasons, ['Not all of the upload passed here.'])
})

t.test('of two requests that begin an upload at once only one capture waits', async t => {
  const { captures, store } = stand(t)
  const [one, two] = [requestOf(), requestOf()]
  for (const request of [one, two]) captures.resume(request, sessionOf('a'))?.write(bytes)
  await settled()
  t.equal(store.ingests, 2)
  for (const request of [one, two]) captures.hold(request, sessionOf('a'))
  await settled()
  t.equal(store.ingests, 1)
})

t.test('so many uploads may wait at a time, and the newest do', async t => {
  const { captures, store } = stand(t, { maxIdle: 3 })
  for (const id of ['a', 'b', 'c', 'd', 'e']) await part(captures, sessionOf(id), 10)
  t.equal(store.ingests, 3)
  t.equal(await part(captures, sessionOf('b', 10), 10), false)
  t.equal(await part(captures, sessionOf('c', 10), 10), true)
})

t.test('an upload that does not go on in time is discarded', async t => {
  const { captures, store, reasons } = stand(t, { idleTime: 100 })
  await part(captures, sessionOf('a'), 10)
  while (store.ingests > 0) await settled()
  t.same(reasons, ['The upload did not go on.'])
  t.equal(await part(captures, sessionOf('a', 10), 10), false)
})

t.test('a capture that the store gave up does not wait for anything', async t => {
  const { captures, store } = stand(t, { maxIdle: 1 })
  await part(captures, sessionOf('good'), 10)
  store.failing.add('ingest')
  await part(captures, sessionOf('bad'), 10)
  store.failing.clear()
  t.equal(await part(captures, sessionOf('good', 10), 10), true)
})

t.test('a client that has left already gets no capture', async t => {
  const { captures, store, reasons } = stand(t)
  const gone = AbortSignal.abort()
  t.equal(captures.begin(requestOf(gone)), undefined)
  await part(captures, sessionOf('a'), 10)
  t.equal(captures.resume(requestOf(gone), sessionOf('a', 10)), undefined)
  await settled()
  t.equal(store.ingests, 0)
  t.same(reasons, Array(2).fill('The client has left.'))
})

t.test('an upload that is given up is discarded', async t => {
  const { captures, store } = stand(t)
  await part(captures, sessionOf('a'), 10)
  captures.discard(sessionOf('a', 10))
  captures.discard(sessionOf('b'))
  await settled()
  t.equal(store.ingests, 0)
})

t.test('who has most uploads that wait loses the oldest, not somebody else', async t => {
  const { captures } = stand(t, { maxIdle: 4 })
  const of = (id: string, principal: string, offset = 0): UploadSession => ({
    ...sessionOf(id, offset),
    principal,
  })
  await part(captures, of('other', 'user:other'), 10)
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) await part(captures, of(id, 'user:greedy'), 10)
  t.equal(await part(captures, of('other', 'user:other', 10), 10), true)
  t.equal(await part(captures, of('c', 'user:greedy', 10), 10), false)
  t.equal(await part(captures, of('f', 'user:greedy', 10), 10), true)
})
