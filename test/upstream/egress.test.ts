import { execFileSync } from 'node:child_process'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  AddressRefused,
  createDispatcher,
  type ConnectorOptions,
  type Trust,
} from '../../src/upstream/egress.js'
import { serve, text } from './support/server.js'

/** A resolver that gives these addresses. */
function resolver(...addresses: string[]): NonNullable<ConnectorOptions['lookup']> {
  const all: LookupAddress[] = addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
  const lookup = (
    _host: string,
    _options: object,
    done: (error: null, addresses: LookupAddress[]) => void,
  ): void => process.nextTick(done, null, all)
  return lookup as unknown as NonNullable<ConnectorOptions['lookup']>
}

async function ask(
  t: Test,
  origin: string,
  trust: Trust,
  lookup?: ConnectorOptions['lookup'],
): Promise<string> {
  const dispatcher = createDispatcher({ trustOf: () => trust, ...(lookup && { lookup }) })
  t.teardown(() => dispatcher.destroy())
  const { body } = await dispatcher.request({ origin, path: '/', method: 'GET' })
  return text(body)
}

t.test('a name that leads to this machine is connected to only when listed', async t => {
  const server = await serve(t, (_incoming, response) => response.end('here'))
  const origin = `http://somewhere.example:${server.port}`
  t.equal(await ask(t, origin, 'listed', resolver('127.0.0.1')), 'here')
  await t.rejects(ask(t, origin, 'private', resolver('127.0.0.1')), AddressRefused)
  await t.rejects(ask(t, origin, 'public', resolver('127.0.0.1')), AddressRefused)
  await t.rejects(ask(t, origin, 'public', resolver('::ffff:127.0.0.1')), AddressRefused)
  t.equal(server.requests.length, 1)
})

t.test('a literal address is looked at too, in each of its forms', async t => {
  const server = await serve(t, (_incoming, response) => response.end('here'))
  for (const host of [
    '127.0.0.1',
    '127.1',
    '0x7f.1',
    '2130706433',
    '[::ffff:127.0.0.1]',
    '[::1]',
    '0.0.0.0',
  ]) {
    const { origin } = new URL(`http://${host}:${server.port}`)
    await t.rejects(ask(t, origin, 'public'), AddressRefused, host)
  }
  t.equal(await ask(t, server.origin, 'listed'), 'here')
  t.equal(server.requests.length, 1)
})

t.test('of several addresses only those are used that may be', async t => {
  const server = await serve(t, (_incoming, response) => response.end('here'))
  const origin = `http://both.example:${server.port}`
  t.equal(await ask(t, origin, 'listed', resolver('169.254.169.254', 'fe80::1', '127.0.0.1')), 'here')
})

t.test('a name that changes its mind is looked at again at each connection', async t => {
  const server = await serve(t, (_incoming, response) =>
    response.setHeader('connection', 'close').end('here'),
  )
  const trusts: Trust[] = ['listed', 'public']
  const dispatcher = createDispatcher({
    trustOf: () => trusts.shift() ?? 'public',
    lookup: resolver('127.0.0.1'),
  })
  t.teardown(() => dispatcher.destroy())
  const options = { origin: `http://rebinds.example:${server.port}`, path: '/', method: 'GET' } as const
  t.equal(await text((await dispatcher.request(options)).body), 'here')
  await t.rejects(dispatcher.request(options), AddressRefused)
})

const refusals: [address: string, trust: Trust][] = [
  ['169.254.169.254', 'public'],
  ['169.254.169.254', 'private'],
  ['169.254.169.254', 'listed'],
  ['fd00:ec2::254', 'listed'],
  ['fe80::1', 'listed'],
  ['0.0.0.0', 'listed'],
  ['224.0.0.1', 'listed'],
  ['10.0.0.1', 'public'],
  ['192.168.0.1', 'public'],
  ['fd12::1', 'public'],
  ['64:ff9b::10.0.0.1', 'public'],
]
for (const [address, trust] of refusals) {
  t.test(`a ${trust} name that leads to ${address} is not connected to`, async t => {
    await t.rejects(ask(t, 'http://name.example:9', trust, resolver(address)), AddressRefused)
  })
}

/** A server certificate for each name, of an authority of their own. */
function certificates(directory: string, name: string): { key: Buffer; cert: Buffer } {
  const at = (file: string): string => join(directory, file)
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', `/CN=test`, '-addext', `subjectAltName=DNS:${name}`],
      ...['-keyout', at('key.pem'), '-out', at('cert.pem')],
    ],
    { stdio: 'ignore' },
  )
  return { key: readFileSync(at('key.pem')), cert: readFileSync(at('cert.pem')) }
}

t.test('TLS names and verifies the registry wherever the endpoint is', async t => {
  const { key, cert } = certificates(t.testdir(), 'upstream.example')
  const seen: unknown[] = []
  const server = createTlsServer({ key, cert }, (request, response) => {
    seen.push(Reflect.get(request.socket, 'servername'))
    response.end('secure')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const origin = `https://127.0.0.1:${port}`
  const options = { origin, path: '/', method: 'GET' } as const
  const dispatcherOf = (more: Partial<ConnectorOptions>): ReturnType<typeof createDispatcher> => {
    const dispatcher = createDispatcher({ trustOf: () => 'listed', ...more })
    t.teardown(() => dispatcher.destroy())
    return dispatcher
  }
  const ca = cert.toString()
  const { body } = await dispatcherOf({ servername: 'upstream.example', ca }).request(options)
  t.equal(await text(body), 'secure')
  t.same(seen, ['upstream.example'])
  await t.rejects(dispatcherOf({ servername: 'other.example', ca }).request(options), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  })

  // Not even Node's own switch turns verification off.
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  t.teardown(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
  })
  await t.rejects(dispatcherOf({ servername: 'upstream.example' }).request(options), {
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  })
  t.equal(seen.length, 1)
})

t.test('HTTPS_PROXY is used for https, and NO_PROXY keeps a host from it', async t => {
  const asked: string[] = []
  const proxy = createServer(socket => {
    socket.on('error', () => undefined)
    socket.once('data', (head: Buffer) => {
      asked.push(head.toString().split('\r\n')[0] ?? '')
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n')
    })
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => proxy.close())
  const { port } = proxy.address() as AddressInfo
  const saved = { ...process.env }
  t.teardown(() => {
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy']) {
      if (saved[name] === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = saved[name]
    }
  })
  delete process.env.https_proxy
  delete process.env.no_proxy
  process.env.HTTPS_PROXY = `http://127.0.0.1:${port}`
  process.env.NO_PROXY = 'direct.example'
  await t.rejects(ask(t, 'https://upstream.example', 'private', resolver('127.0.0.1')), {
    code: 'UND_ERR_ABORTED',
  })
  t.same(asked, ['CONNECT upstream.example:443 HTTP/1.1'])
  await t.rejects(ask(t, 'https://direct.example', 'private', resolver('127.0.0.1')), AddressRefused)
  t.equal(asked.length, 1)
})
