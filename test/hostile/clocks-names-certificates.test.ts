import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TlsOptions } from 'node:tls'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { ConnectorOptions } from '../../src/upstream/egress.js'
import { makeCertificate } from '../support/certificate.js'
import { attacks, atOnce, countOf } from './support/attacks.js'
import { contents } from './support/contents.js'
import { startFarSide, UNTHROTTLED } from './support/far-side.js'
import { assertOwn, assertRight } from './support/oracle.js'
import { answer, good } from './support/scripted-upstream.js'

const HOUR = 3_600_000

/** The wall clock's leaps between one pull and the next, in milliseconds. */
const written: number[][] = [
  [13 * HOUR, -13 * HOUR],
  [-13 * HOUR, 13 * HOUR],
  [-13 * HOUR, -13 * HOUR, 26 * HOUR],
  [400 * 24 * HOUR],
  [-20_000 * 24 * HOUR],
  [1, -1],
]

const shape = fc.array(fc.integer({ min: -13 * HOUR, max: 13 * HOUR }), { minLength: 1, maxLength: 4 })

t.test('a clock that leaps makes nothing old count as new, and nothing wrong', async t => {
  let time = Date.now()
  const start = time
  const { far, caching, get } = await startFarSide(t, { now: () => time, cache: { tags: { ttl: '10s' } } })
  let tried = 0
  // One after another: there is one clock.
  await atOnce(attacks('H24', written, shape, 0.9), 1, async leaps => {
    const number = ++tried
    const repository = `clocks/c${number}`
    const [old, fresh] = [contents(number), contents(-number)]
    const about = JSON.stringify(leaps)
    time = start
    far.play(repository, good(old))
    assertRight(await get(caching, `/v2/${repository}/manifests/v1`), old.manifest, about)
    far.play(repository, good(fresh))
    let learntAt = time
    let current = old
    for (const leap of leaps) {
      time += leap
      const age = time - learntAt
      if (age < 0 || age >= 10_000) current = fresh
      const pulled = await get(caching, `/v2/${repository}/manifests/v1`)
      assertRight(pulled, current.manifest, about)
      if (pulled.headers['x-cache'] !== 'hit') learntAt = time
    }
    far.forget(repository)
  })
  t.ok(tried >= countOf('H24') * 0.9, `${tried} clocks`)
})

type Lookup = NonNullable<ConnectorOptions['lookup']>

t.test('names that lead nowhere, late or elsewhere fail closed, and work again afterwards', async t => {
  let answerName: (done: (error: Error | null, all: LookupAddress[]) => void) => void = () => undefined
  const right = [{ address: '127.0.0.1', family: 4 }]
  const lookup = ((
    _host: string,
    _options: object,
    done: (error: Error | null, all: LookupAddress[]) => void,
  ): void => answerName(done)) as unknown as Lookup
  const { far, streaming, get } = await startFarSide(t, {
    deps: { ...UNTHROTTLED, connections: { lookup, timeout: 300 } },
    upstream: far => ({ endpoint: `http://names.example:${far.port}` }),
  })
  const content = contents(1)
  // No connection is kept, so that each request has to ask for the name again.
  far.play('names/image', (asked, connection) => {
    good(content)(asked, connection)
    connection.end()
  })
  const failing: Record<string, typeof answerName> = {
    'there is no such name': done => done(Object.assign(new Error('no name'), { code: 'ENOTFOUND' }), []),
    'no name server answers': done => done(Object.assign(new Error('again'), { code: 'EAI_AGAIN' }), []),
    'the answer does not come': () => undefined,
    'it has no addresses': done => done(null, []),
    'it leads to the metadata of a cloud': done => done(null, [{ address: '169.254.169.254', family: 4 }]),
    'it leads to no address': done => done(null, [{ address: '0.0.0.0', family: 4 }]),
  }
  for (const [title, fails] of Object.entries(failing)) {
    answerName = fails
    const before = far.asked.length
    const failed = await get(streaming, '/v2/names/image/manifests/v1')
    assertOwn(failed, title)
    t.equal(failed.status, 502, title)
    t.equal(far.asked.length, before, title)
    answerName = done => done(null, right)
    assertRight(await get(streaming, '/v2/names/image/manifests/v1'), content.manifest, title)
  }
})

/** A TLS server that answers whoever trusts it, and counts what it was asked. */
async function tlsServer(
  t: Test,
  options: TlsOptions,
): Promise<{ readonly port: number; asked: () => number }> {
  let asked = 0
  const server = createServer(options, socket => {
    socket.on('error', () => undefined)
    socket.on('data', () => {
      asked++
      socket.end(answer(200, { 'content-type': 'a/b' }, '{}'))
    })
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => new Promise(resolve => server.close(resolve)))
  return { port: (server.address() as AddressInfo).port, asked: () => asked }
}

t.test('no token goes to a certificate of another name, of nobody or of too old a protocol', async t => {
  const host = '123456789012.dkr.ecr.us-east-1.amazonaws.com'
  const directory = t.testdir()
  const own = makeCertificate(directory, host, 'own')
  const other = makeCertificate(directory, 'evil.example', 'other')
  const pair = ({ certificate, key }: typeof own): TlsOptions => ({
    cert: readFileSync(certificate),
    key: readFileSync(key),
  })
  const servers: Record<string, { options: TlsOptions; ca: string | undefined; status: number }> = {
    'the right one': { options: pair(own), ca: own.pem, status: 200 },
    'another name': { options: pair(other), ca: other.pem, status: 502 },
    'signed by nobody': { options: pair(own), ca: other.pem, status: 502 },
    'TLS 1.0': {
      options: { ...pair(own), minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' },
      ca: own.pem,
      status: 502,
    },
  }
  for (const [title, { options, ca, status }] of Object.entries(servers)) {
    const server = await tlsServer(t, options)
    const { streaming, get } = await startFarSide(t, {
      deps: { ...UNTHROTTLED, connections: { ...(ca !== undefined && { ca }) } },
      upstream: () => ({ endpoint: `https://127.0.0.1:${server.port}` }),
    })
    const got = await get(streaming, '/v2/tls/image/manifests/v1')
    assertOwn(got, title)
    t.equal(got.status, status, title)
    assert.equal(server.asked() > 0, status === 200, title)
  }
})
