import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { ConnectorOptions } from '../../src/upstream/egress.js'
import { atOnce, countOf, SEED } from './support/attacks.js'
import { contents } from './support/contents.js'
import { startFarSide, UNTHROTTLED } from './support/far-side.js'
import { assertOwn, assertRight } from './support/oracle.js'
import { answer, good } from './support/scripted-upstream.js'

/** Counts who connects, at one port of every address of this machine. */
async function evilListener(t: Test): Promise<{ readonly port: number; readonly connections: () => number }> {
  let connections = 0
  const server = createServer(socket => {
    connections++
    socket.on('error', () => undefined)
    socket.write(answer(200, {}, 'evil'))
    setTimeout(() => socket.destroy(), 20)
  })
  server.listen(0, '::')
  await once(server, 'listening')
  t.teardown(() => new Promise(resolve => server.close(resolve)))
  return { port: (server.address() as AddressInfo).port, connections: () => connections }
}

/** Every name leads to this machine, so that only what is refused by name or by address is not connected to. */
const everywhere = ((
  _host: string,
  _options: object,
  done: (error: null, all: LookupAddress[]) => void,
): void =>
  process.nextTick(done, null, [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ])) as unknown as NonNullable<ConnectorOptions['lookup']>

/** Where an upstream may point, with the port of the evil listener. */
const targets = (port: number, own: string): string[] => {
  const hosts = [
    ...['127.0.0.1', '127.1', '127.0.1', '0x7f.1', '0x7f000001', '2130706433', '0177.0.0.1', '017700000001'],
    ...[
      '127.0.0.2',
      '127.255.255.254',
      '0.0.0.0',
      '0',
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
    ],
    ...[
      '[0:0:0:0:0:0:0:1]',
      '[64:ff9b::7f00:1]',
      'localhost',
      'LOCALHOST',
      'localhost.',
      'localhost.localdomain',
    ],
    ...['169.254.169.254', '[fd00:ec2::254]', '169.254.170.2', '0xa9fea9fe', '[::ffff:169.254.169.254]'],
    ...['metadata.google.internal', 'instance-data.ec2.internal', 'kubernetes.default.svc', 'evil.example'],
    ...[
      's3.amazonaws.com.evil.example',
      'prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com.evil.example',
    ],
    ...[
      'xn--s3-amazonaws-com.example',
      's3。amazonaws。com',
      'ｌｏｃａｌｈｏｓｔ',
      '１２７.0.0.1',
      'evil.example.',
    ],
  ]
  return [
    ...hosts.map(host => `http://${host}:${port}/v2/x`),
    `https://127.0.0.1:${port}/v2/x`,
    `https://localhost:${port}/v2/x`,
    `http://evil.example:${port}/s3.amazonaws.com`,
    `http://${own}@127.0.0.1:${port}/v2/x`,
    `http://s3.amazonaws.com:443@evil.example:${port}/v2/x`,
    `http://${own}%40evil.example:${port}/v2/x`,
    `http://${own}\\@127.0.0.1:${port}/v2/x`,
    `http:\\\\127.0.0.1:${port}\\v2\\x`,
    `\\\\127.0.0.1:${port}/v2/x`,
    `//127.0.0.1:${port}/v2/x`,
    `///127.0.0.1:${port}/v2/x`,
    `/\\127.0.0.1:${port}/v2/x`,
    `http:127.0.0.1:${port}/v2/x`,
    `http://127.0.0.1:${port}#@${own}/v2/x`,
    `http://127.0.0.1:${port}?@${own}/v2/x`,
    `\thttp://127.0.0.1:${port}/v2/x`,
    `ftp://127.0.0.1:${port}/v2/x`,
    `file://127.0.0.1:${port}/etc/passwd`,
    `gopher://127.0.0.1:${port}/v2/x`,
    `ws://127.0.0.1:${port}/v2/x`,
    `data:text/plain,evil`,
    `javascript:alert(1)`,
    `http://user:secret@localhost:${port}/v2/x`,
    `unix:/var/run/docker.sock`,
    `blob:http://127.0.0.1:${port}/v2/x`,
    `http://[::1%25lo]:${port}/v2/x`,
  ]
}

t.test('an upstream leads the mirror nowhere, by whatever it names in whichever place', async t => {
  const evil = await evilListener(t)
  const { far, streaming, caching, get } = await startFarSide(t, {
    deps: { ...UNTHROTTLED, connections: { lookup: everywhere } },
  })
  const all = targets(evil.port, far.host)
  t.ok(all.length >= 64, `${all.length} targets`)
  const places = ['blob', 'upload', 'link'] as const
  const matrix = all.slice(0, 64).flatMap(target => places.map(place => ({ target, place })))
  // In the long ring in one order after another, since what one leaves behind might let the next one through.
  const orders = Math.ceil(countOf('H17') / matrix.length)
  const shuffled = fc.sample(fc.shuffledSubarray(matrix, { minLength: matrix.length }), {
    seed: SEED,
    numRuns: orders,
  })
  let number = 0
  await atOnce(shuffled.flat(), 32, async ({ target, place }) => {
    const mirror = number++ % 2 ? caching : streaming
    const content = contents(number)
    const repository = `redirects/c${number}`
    const headers = {
      location: place === 'link' ? [] : Buffer.from(target).toString('latin1'),
      link: place === 'link' ? `<${Buffer.from(target).toString('latin1')}>; rel="next"` : [],
    }
    far.play(repository, (asked, far) => {
      if (asked.path.startsWith('/v2/x') || asked.method === 'PUT') far.write(answer(404))
      else if (place === 'blob') far.write(answer(307, headers))
      else if (place === 'upload') far.write(answer(202, headers))
      else far.write(answer(200, headers, '{"name":"x","tags":["a"]}'))
    })
    const about = `${place} ${target}`
    if (place === 'blob') {
      const got = await get(mirror, `/v2/${repository}/blobs/${content.blobDigest}`)
      assertOwn(got, about)
      assert.ok(got.status >= 400, `${about}: ${got.status}`)
    } else if (place === 'upload') {
      const begun = await get(mirror, `/v2/${repository}/blobs/uploads/`, 'POST')
      assertOwn(begun, about)
      const { location } = begun.headers
      if (begun.status === 202 && location !== undefined) {
        const done = await get(mirror, `${location}?digest=${content.blobDigest}`, 'PUT', {}, content.blob)
        assertOwn(done, about)
      }
    } else {
      const list = await get(mirror, `/v2/${repository}/tags/list`)
      assertOwn(list, about)
    }
    far.forget(repository)
  })
  t.ok(number >= countOf('H17'), `${number} times`)
  t.equal(evil.connections(), 0, 'nobody came')
})

t.test('the same listener is reached where the operator has named it', async t => {
  const evil = await evilListener(t)
  const { far, streaming, get } = await startFarSide(t, {
    upstream: far => ({ redirectHosts: [far.host, `127.0.0.1:${evil.port}`] }),
  })
  const content = contents(1)
  far.play('redirects/allowed', (asked, far) =>
    asked.path.startsWith('/v2/')
      ? far.write(answer(307, { location: '/storage/redirects/allowed' }))
      : good(content)(asked, far),
  )
  assertRight(
    await get(streaming, `/v2/redirects/allowed/blobs/${content.blobDigest}`),
    content.blob,
    'allowed',
  )
  far.play('redirects/named', (_asked, far) =>
    far.write(answer(307, { location: `http://127.0.0.1:${evil.port}/x` })),
  )
  await get(streaming, `/v2/redirects/named/blobs/${content.blobDigest}`)
  t.equal(evil.connections(), 1)
})

t.test(
  'a second redirect is looked at as the first one is, and a name whenever it is connected to',
  async t => {
    const evil = await evilListener(t)
    const addresses = ['127.0.0.1']
    const rebinding = ((
      _host: string,
      _options: object,
      done: (error: null, all: LookupAddress[]) => void,
    ): void =>
      process.nextTick(done, null, [
        { address: addresses.shift() ?? '169.254.169.254', family: 4 },
      ])) as unknown as NonNullable<ConnectorOptions['lookup']>
    const { far, streaming, get } = await startFarSide(t, {
      deps: { ...UNTHROTTLED, connections: { lookup: rebinding } },
      upstream: far => ({
        redirectHosts: [far.host, `rebinds.example:${far.port}`, `*.pattern.example:${evil.port}`],
      }),
    })
    const content = contents(2)
    const blob = (repository: string) => get(streaming, `/v2/${repository}/blobs/${content.blobDigest}`)
    far.play('redirects/twice', (asked, far) =>
      far.write(
        answer(307, {
          location: asked.path.startsWith('/v2/')
            ? '/storage/redirects/twice'
            : `http://127.0.0.1:${evil.port}/`,
        }),
      ),
    )
    t.equal((await blob('redirects/twice')).status, 502)
    far.play('redirects/rebinds', (asked, connection) => {
      if (asked.path.startsWith('/v2/'))
        connection.write(
          answer(307, { location: `http://rebinds.example:${far.port}/storage/redirects/rebinds` }),
        )
      else {
        good(content)(asked, connection)
        connection.end()
      }
    })
    assertRight(await blob('redirects/rebinds'), content.blob, 'while it leads where it should')
    t.match(await blob('redirects/rebinds'), { status: 502 }, 'and not where it leads next')
    addresses.push('127.0.0.1', '127.0.0.1')
    far.play('redirects/pattern', (_asked, far) =>
      far.write(answer(307, { location: `http://x.pattern.example:${evil.port}/` })),
    )
    t.equal((await blob('redirects/pattern')).status, 502, 'a pattern is no leave to come to this machine')
    t.equal(evil.connections(), 0)
  },
)
