import { execFileSync } from 'node:child_process'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import {
  connect,
  createServer,
  getDefaultAutoSelectFamily,
  setDefaultAutoSelectFamily,
  type AddressInfo,
  type Socket,
} from 'node:net'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import {
  AddressRefused,
  createConnector,
  createDispatcher,
  mayConnect,
  type ConnectorOptions,
  type Trust,
} from '../../src/upstream/egress.js'
import { Pools } from '../../src/upstream/pools.js'
import { serve, text } from './support/server.js'

/** A resolver that gives these addresses to who asks for all, as Node's does. */
function resolver(...addresses: string[]): NonNullable<ConnectorOptions['lookup']> {
  const all: LookupAddress[] = addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
  const lookup = (
    _host: string,
    options: { all?: boolean },
    done: (error: null, addresses: LookupAddress[] | string | undefined) => void,
  ): void => process.nextTick(done, null, options.all ? all : addresses[0])
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

t.test('trust says which kinds of address a host may lead to', t => {
  const rows: [host: string, address: string, trusts: Trust[]][] = [
    ['a.example', '8.8.8.8', ['public', 'private', 'listed']],
    ['a.example', '10.0.0.1', ['private', 'listed']],
    ['a.example', '127.0.0.1', ['listed']],
    ['a.example', '169.254.169.254', []],
    ['169.254.169.254', '169.254.169.254', ['listed']],
  ]
  for (const [host, address, trusts] of rows)
    for (const trust of ['public', 'private', 'listed'] as const)
      t.equal(mayConnect(host, address, trust), trusts.includes(trust), `${trust} ${host} to ${address}`)
  t.end()
})

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

/** What one connection comes to. */
function connection(
  options: ConnectorOptions,
  to: { protocol: string; hostname: string; port?: string },
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    createConnector(options)({ host: to.hostname, port: '', ...to }, (error, socket) => {
      if (error) reject(error)
      else resolve(socket)
    })
  })
}

t.test('trust is asked for by the host and the port that are connected to', async t => {
  const asked: unknown[] = []
  const trustOf = (...of: [string, number]): Trust => {
    asked.push(of)
    return 'public'
  }
  const lookup = resolver('127.0.0.1')
  for (const to of [
    { protocol: 'https:', hostname: 'a.example' },
    { protocol: 'http:', hostname: 'b.example' },
    { protocol: 'https:', hostname: 'c.example', port: '5000' },
  ])
    await t.rejects(connection({ trustOf, lookup }, to), AddressRefused)
  t.same(asked, [
    ['a.example', 443],
    ['b.example', 80],
    ['c.example', 5000],
  ])
})

t.test('a refusal says whether the name or the address is to blame', async t => {
  const lookup = resolver('127.0.0.1')
  for (const trust of ['public', 'private'] as const) {
    const options = { trustOf: () => trust, lookup }
    await t.rejects(connection(options, { protocol: 'http:', hostname: 'a.example' }), {
      name: 'AddressRefused',
      message: 'The name leads to no address to connect to.',
    })
    await t.rejects(connection(options, { protocol: 'http:', hostname: '127.0.0.1' }), {
      name: 'AddressRefused',
      message: 'The address is not one to connect to.',
    })
  }
})

t.test('a name that does not resolve fails as the resolver says', async t => {
  const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
  const lookup = ((_host: string, _options: object, done: (error: Error) => void) =>
    process.nextTick(done, unknown)) as unknown as NonNullable<ConnectorOptions['lookup']>
  await t.rejects(ask(t, 'http://nowhere.example', 'listed', lookup), { code: 'ENOTFOUND' })
})

t.test('where Node tries one address only, it is one that may be connected to', async t => {
  const before = getDefaultAutoSelectFamily()
  setDefaultAutoSelectFamily(false)
  t.teardown(() => setDefaultAutoSelectFamily(before))
  const server = await serve(t, (_incoming, response) => response.end('here'))
  const origin = `http://both.example:${server.port}`
  t.equal(await ask(t, origin, 'listed', resolver('169.254.169.254', '127.0.0.1')), 'here')
  await t.rejects(ask(t, origin, 'private', resolver('127.0.0.1')), AddressRefused)
})

t.test('a HEAD leaves its connection open', async t => {
  const server = await serve(t, (_incoming, response) => response.end())
  const dispatcher = createDispatcher({ trustOf: () => 'listed', connections: 1 })
  t.teardown(() => dispatcher.destroy())
  for (const method of ['HEAD', 'GET', 'HEAD'] as const) {
    const { body } = await dispatcher.request({ origin: server.origin, path: '/', method })
    await body.dump()
  }
  t.equal(server.requests.length, 3)
  t.equal(server.opened(), 1)
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
  const reusing = await dispatcherOf({ servername: 'upstream.example', ca, reuseBuffers: true }).request(
    options,
  )
  t.equal(await text(reusing.body), 'secure')
  t.same(seen.splice(1), ['upstream.example'])
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

/** An HTTPS server of that name, and what it saw of the connections that requests came by. */
async function serveTls(t: Test, name: string): Promise<{ port: number; ca: string; seen: unknown[] }> {
  const { key, cert } = certificates(t.testdir(), name)
  const seen: unknown[] = []
  const server = createTlsServer({ key, cert, ALPNProtocols: ['h2', 'http/1.1'] }, (request, response) => {
    const { socket } = request
    if (socket instanceof TLSSocket)
      seen.push({
        name: Reflect.get(socket, 'servername'),
        protocol: socket.alpnProtocol,
        resumed: socket.isSessionReused(),
      })
    response.setHeader('connection', 'close').end('secure')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { port: (server.address() as AddressInfo).port, ca: cert.toString(), seen }
}

t.test('a further connection speaks HTTP/1.1 and resumes the TLS session of the one before', async t => {
  const { port, ca, seen } = await serveTls(t, 'upstream.example')
  const dispatcher = createDispatcher({ trustOf: () => 'listed', servername: 'upstream.example', ca })
  t.teardown(() => dispatcher.destroy())
  for (let count = 0; count < 2; count++) {
    const { body } = await dispatcher.request({
      origin: `https://127.0.0.1:${port}`,
      path: '/',
      method: 'GET',
    })
    t.equal(await text(body), 'secure')
  }
  t.same(seen, [
    { name: 'upstream.example', protocol: 'http/1.1', resumed: false },
    { name: 'upstream.example', protocol: 'http/1.1', resumed: true },
  ])
})

/** Sets variables of the environment until the test ends. */
function setEnvironment(t: Test, values: Record<string, string | undefined>): void {
  const before = Object.keys(values).map(name => [name, process.env[name]] as const)
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = value
  }
  t.teardown(() => before.forEach(([name, value]) => set(name, value)))
  for (const [name, value] of Object.entries(values)) set(name, value)
}

t.test('through a proxy the registry is named and verified too', async t => {
  const { port, ca, seen } = await serveTls(t, 'upstream.example')
  const proxy = createServer(socket => {
    socket.on('error', () => undefined)
    socket.once('data', () => {
      const onward = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.pipe(onward).pipe(socket)
      })
      onward.on('error', () => socket.destroy())
    })
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => proxy.close())
  setEnvironment(t, {
    HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    https_proxy: undefined,
    NO_PROXY: undefined,
    no_proxy: undefined,
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
  })
  const through = async (more: Partial<ConnectorOptions>): Promise<string> => {
    const dispatcher = createDispatcher({ trustOf: () => 'listed', ...more })
    t.teardown(() => dispatcher.destroy())
    const { body } = await dispatcher.request({
      origin: 'https://endpoint.example',
      path: '/',
      method: 'GET',
    })
    return text(body)
  }
  t.equal(await through({ servername: 'upstream.example', ca }), 'secure')
  t.same(seen, [{ name: 'upstream.example', protocol: 'http/1.1', resumed: false }])
  await t.rejects(through({ ca }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  await t.rejects(through({ servername: 'upstream.example' }), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
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
  setEnvironment(t, {
    HTTPS_PROXY: `http://127.0.0.1:${port}`,
    https_proxy: undefined,
    NO_PROXY: 'direct.example',
    no_proxy: undefined,
  })
  await t.rejects(ask(t, 'https://upstream.example', 'private', resolver('127.0.0.1')), {
    code: 'UND_ERR_ABORTED',
  })
  t.same(asked, ['CONNECT upstream.example:443 HTTP/1.1'])
  await t.rejects(ask(t, 'https://direct.example', 'private', resolver('127.0.0.1')), AddressRefused)
  t.equal(asked.length, 1)
})

t.test('who wants to know how many connections there are is told, whatever they read into', async t => {
  const pools = new Pools()
  const server = await serve(t, (_request, response) => response.end('here'))
  const dispatcher = createDispatcher({ trustOf: () => 'listed', pools, reuseBuffers: true })
  t.teardown(() => dispatcher.destroy())
  const { body } = await dispatcher.request({ origin: server.origin, path: '/', method: 'GET' })
  t.equal(await text(body), 'here')
  t.same(pools.use(), [{ connections: 1, waiting: 0 }])
})
