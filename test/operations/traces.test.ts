import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { SpanKind, SpanStatusCode, type Attributes } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-node'
import t, { type Test } from 'tap'
import { startMirror, type MirrorOptions } from '../support/mirror.js'
import { startPushing, digestOf } from '../support/pushing.js'

t.setTimeout(60_000)

const ON = { tracing: { enabled: true } }
const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })

/** A mirror whose spans alone are exported from now on. */
async function startTraced(t: Test, settings: object = {}, options: MirrorOptions = {}) {
  const mirror = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    settings: { ...ON, ...settings },
    ...options,
  })
  exporter.reset()
  return mirror
}

/** The spans of so many requests of clients, and what belongs to them. */
async function spans(requests: number): Promise<ReadableSpan[]> {
  const all = (): ReadableSpan[] => exporter.getFinishedSpans()
  for (let tries = 0; tries < 500 && served(all()).length < requests; tries++) await pause(10)
  return all()
}

const served = (all: readonly ReadableSpan[]): ReadableSpan[] =>
  all.filter(({ kind }) => kind === SpanKind.SERVER)
const sent = (all: readonly ReadableSpan[]): ReadableSpan[] =>
  all.filter(({ kind }) => kind === SpanKind.CLIENT)

t.test('without an SDK, traces go nowhere and nothing else changes', async t => {
  const { ecr, fetch } = await startTraced(t)
  await ecr.putImage('team/app', 'v1')
  t.equal((await fetch('/v2/team/app/manifests/v1')).status, 200)
  t.same(exporter.getFinishedSpans(), [])
})

t.test('with an SDK', async t => {
  provider.register()
  t.teardown(() => provider.shutdown())

  t.test('there are no traces unless they were asked for', async t => {
    const { ecr, fetch } = await startTraced(t, { tracing: { enabled: false } })
    await ecr.putImage('team/app', 'v1')
    t.equal((await fetch('/v2/team/app/manifests/v1')).status, 200)
    await pause(50)
    t.same(exporter.getFinishedSpans(), [])
  })

  t.test('a pull has a span, and in it one for each request upstream', async t => {
    const { ecr, fetch } = await startTraced(t)
    const { digest } = await ecr.putBlob('team/app', randomBytes(100_000))
    const answer = await fetch(`/v2/team/app/blobs/${digest}`)
    await answer.arrayBuffer()
    const all = await spans(1)
    const [pull] = served(all)
    t.equal(pull?.name, 'GET /v2/<name>/blobs/<digest>')
    t.equal(pull?.parentSpanContext, undefined)
    const attributes: Attributes = {
      'http.request.method': 'GET',
      'http.route': '/v2/<name>/blobs/<digest>',
      'http.response.status_code': 200,
      'ecr_mirror.request_id': answer.headers.get('x-request-id') ?? '',
      'ecr_mirror.upstream': 'main',
      'ecr_mirror.repository': 'team/app',
      'ecr_mirror.cache': 'bypass',
    }
    t.same(pull?.attributes, attributes)
    t.equal(pull?.status.code, SpanStatusCode.UNSET)
    t.same(
      sent(all).map(span => [
        span.name,
        span.attributes['http.response.status_code'],
        span.parentSpanContext?.spanId === pull?.spanContext().spanId,
      ]),
      [
        ['GetDownloadUrlForLayer', 307, true],
        ['GetObject', 200, true],
      ],
    )
  })

  t.test('a push and a download into the cache belong to the request that began them', async t => {
    const mirror = await startPushing(t, {
      far: { knobs: { layerInaccessibleUntilTagged: false } },
      settings: ON,
    })
    exporter.reset()
    const bytes = randomBytes(1000)
    await mirror.step('PUT', `${await mirror.begin()}?digest=${digestOf(bytes)}`, bytes)
    const { digest } = await mirror.ecr.putBlob('team/app', randomBytes(100_000))
    await (await mirror.fetch(`/v2/team/app/blobs/${digest}`)).arrayBuffer()
    const all = await spans(3)
    const parents = new Map(served(all).map(span => [span.spanContext().spanId, span.name]))
    const pairs = sent(all).map(span => [parents.get(span.parentSpanContext?.spanId ?? ''), span.name])
    t.same(pairs, [
      ['POST /v2/<name>/blobs/uploads/', 'InitiateLayerUpload'],
      ['PUT /v2/<name>/blobs/uploads/<session>', 'CompleteLayerUpload'],
      ['GET /v2/<name>/blobs/<digest>', 'BatchCheckLayerAvailability'],
      ['GET /v2/<name>/blobs/<digest>', 'GetDownloadUrlForLayer'],
      ['GET /v2/<name>/blobs/<digest>', 'GetObject'],
    ])
  })

  t.test('what fails is marked so, and each try of it is a span', async t => {
    const { ecr, fetch } = await startTraced(t)
    ecr.createRepository('team/app')
    ecr.knobs.serverError = { ListImages: 3 }
    await fetch('/v2/team/app/tags/list')
    ecr.knobs.resetConnection = { ListImages: 1 }
    await fetch('/v2/team/app/tags/list')
    const all = await spans(2)
    t.same(
      served(all).map(({ status }) => status.code),
      [SpanStatusCode.ERROR, SpanStatusCode.UNSET],
    )
    t.same(
      sent(all).map(({ attributes, status }) => [
        attributes['http.response.status_code'] ?? attributes['error.type'],
        status.code === SpanStatusCode.ERROR,
      ]),
      [
        [500, true],
        [500, true],
        [500, true],
        ['broken_off', true],
        [200, false],
      ],
    )
  })

  const TRACE = '0af7651916cd43dd8448eb211c80319c'
  const headers = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` }

  t.test("a stranger's traceparent is nobody's, a trusted proxy's is gone on with", async t => {
    for (const [trustedProxies, goesOn] of [
      [[], false],
      [['127.0.0.0/8'], true],
    ]) {
      const { fetch } = await startTraced(t, { trustedProxies })
      await fetch('/v2/', { headers })
      const [span] = served(await spans(1))
      t.equal(span?.spanContext().traceId === TRACE, goesOn)
      t.equal(span?.parentSpanContext?.spanId === 'b7ad6b7169203331', goesOn)
    }
  })

  t.test('nothing of a trace is sent upstream or to the storage', async t => {
    const { ecr, fetch } = await startTraced(t, { trustedProxies: ['127.0.0.0/8'] })
    const { digest } = await ecr.putBlob('team/app', randomBytes(1000))
    await (await fetch(`/v2/team/app/blobs/${digest}`, { headers })).arrayBuffer()
    await fetch('/v2/team/app/tags/list', { headers })
    t.equal(sent(await spans(2)).length, 3)
    const texts = ecr.requests.flatMap(({ url, rawHeaders }) => [url, ...rawHeaders])
    t.ok(texts.length > 10)
    t.same(
      texts.filter(text => /traceparent|tracestate|baggage/i.test(text) || text.includes(TRACE)),
      [],
    )
  })

  t.test('the names of spans are few, whatever is asked for', async t => {
    const { fetch } = await startTraced(t)
    for (let index = 0; index < 60; index++)
      await fetch(
        [`/v2/team/a${index}/manifests/v${index}`, `/x/${index}`, `/v2/a${index}/tags/list`][index % 3] ?? '',
        {
          method: ['GET', 'PROPFIND'][index % 2] ?? 'GET',
        },
      )
    const names = new Set((await spans(60)).map(({ name }) => name))
    t.same([...names].sort(), [
      'BatchGetImage',
      'GET',
      'GET /v2/<name>/manifests/<reference>',
      'GET /v2/<name>/tags/list',
      'ListImages',
      '_OTHER',
    ])
  })
})
