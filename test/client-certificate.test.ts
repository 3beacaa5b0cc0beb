import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { readCertificates, type Certificates } from '../src/certificates.js'
import { clientCertificateName } from '../src/client-certificate.js'
import { ConnectionRoom } from '../src/connection-room.js'
import { listen } from '../src/listener.js'
import { answerParserError } from '../src/registry/errors.js'
import { issue, issueAuthority, type IssuedCertificate } from './support/authority.js'
import { makeCertificate } from './support/certificate.js'
import { isInstalled } from './support/installed.js'

const DAY = 24 * 3_600_000
const needsOpenssl = isInstalled('openssl') ? {} : { skip: 'openssl is not installed here' }

/** A port that answers with the name it takes a client for. */
async function open(t: Test, certificates: Certificates) {
  let [inForce, now] = [certificates, Date.now()]
  const listener = await listen({
    address: { host: '127.0.0.1', port: 0 },
    limits: { idleTimeout: 20_000, headersTimeout: 20_000 },
    room: new ConnectionRoom({ maxConnections: 100, maxConnectionsPerAddress: 100, isShared: () => false }),
    certificates,
    onParserError: answerParserError,
    onError: error => t.fail(String(error)),
    onRequest: (request, response) => {
      const name = clientCertificateName(request.socket, inForce, now)
      response.end(name === undefined ? 'nobody' : JSON.stringify(name))
    },
  })
  t.teardown(async () => {
    const drained = listener.drain()
    listener.cut()
    await drained
  })
  return {
    port: Number(new URL(listener.url).port),
    reload: (fresh: Certificates): void => {
      inForce = fresh
      listener.useCertificates(fresh)
    },
    setTime: (time: number): void => void (now = time),
  }
}

/** A connection, which stays open until the test ends. */
async function connected(t: Test, port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

/** Who the port takes the client for, by one more request on the connection. */
async function nameOn(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: m\r\n\r\n')
  let seen = ''
  while (!/\r\n\r\n(?:nobody|"(?:[^"\\]|\\.)*")$/.test(seen)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    seen += chunk.toString()
  }
  return seen.slice(seen.indexOf('\r\n\r\n') + 4)
}

const asClient = (own: IssuedCertificate, ...chain: IssuedCertificate[]): ConnectionOptions => ({
  cert: [own, ...chain].map(({ cert }) => cert).join(''),
  key: own.keyText,
})

t.test(
  'a certificate names who it is by one common name, valid, for clients, of the authority',
  needsOpenssl,
  async t => {
    const directory = t.testdir({})
    const server = makeCertificate(directory, 'mirror.test')
    const authority = issueAuthority(directory, 'authority')
    const between = issueAuthority(directory, 'between', authority)
    const below = issueAuthority(directory, 'below', between)
    const by = (file: string, options: object = {}): IssuedCertificate =>
      issue(directory, file, { by: authority, ...options })
    const { port } = await open(t, await readCertificates([{ ...server, clientCa: authority.certificate }]))
    const leaf = issue(directory, 'leaf', { by: below })
    const long = 'n'.repeat(64)
    const rows: [string, ConnectionOptions, string][] = [
      ['one of the authority', asClient(by('agent')), '"agent"'],
      ['one without a purpose', asClient(by('any', { extensions: ['basicConstraints=CA:false'] })), '"any"'],
      ['with those between sent', asClient(leaf, below, between), '"leaf"'],
      ['with those between in another order', asClient(leaf, between, below), '"leaf"'],
      ['with the authority too', asClient(leaf, below, between, authority), '"leaf"'],
      ['without those between', asClient(leaf), 'nobody'],
      ['without some of those between', asClient(leaf, between), 'nobody'],
      ['none', {}, 'nobody'],
      ['one that signed itself', asClient(issue(directory, 'self', { subject: '/CN=agent' })), 'nobody'],
      ['an expired one', asClient(by('expired', { days: -1 })), 'nobody'],
      ['one for servers', asClient(by('server', { extensions: ['extendedKeyUsage=serverAuth'] })), 'nobody'],
      ['one without a common name', asClient(by('unnamed', { subject: '/O=team' })), 'nobody'],
      ['one that names nothing', asClient(by('nameless', { subject: '/' })), 'nobody'],
      ['one with an empty one', asClient(by('empty', { subject: '/O=team/CN=' })), 'nobody'],
      ['one with several', asClient(by('twice', { subject: '/CN=agent/CN=admin' })), 'nobody'],
      [
        'one with other characters',
        asClient(by('odd', { subject: '/CN=Bäu "Läufer", 7\\/9' })),
        '"Bäu \\"Läufer\\", 7/9"',
      ],
      ['one with a line break', asClient(by('lines', { subject: '/CN=agent\ncert:admin' })), 'nobody'],
      ['the longest', asClient(by('long', { subject: `/CN=${long}` })), `"${long}"`],
      [
        'one by somebody who is no authority',
        asClient(issue(directory, 'forged', { by: by('mere') }), by('mere')),
        'nobody',
      ],
    ]
    for (const [what, options, name] of rows)
      t.equal(await nameOn(await connected(t, port, { servername: 'mirror.test', ...options })), name, what)
  },
)

t.test(
  'an open connection counts by the authorities in force, and until the certificate expires',
  needsOpenssl,
  async t => {
    const directory = t.testdir({})
    const server = makeCertificate(directory, 'mirror.test')
    const [old, fresh] = [issueAuthority(directory, 'old'), issueAuthority(directory, 'fresh')]
    const both = `${directory}/both.crt`
    await writeFile(both, old.cert + fresh.cert)
    const withAuthorities = (clientCa?: string): Promise<Certificates> =>
      readCertificates([{ ...server, ...(clientCa !== undefined && { clientCa }) }])
    const { port, reload, setTime } = await open(t, await withAuthorities(old.certificate))
    const socket = await connected(t, port, asClient(issue(directory, 'agent', { by: old })))
    t.equal(await nameOn(socket), '"agent"')
    reload(await withAuthorities(both))
    t.equal(await nameOn(socket), '"agent"', 'when another authority is added')
    const next = await connected(t, port, asClient(issue(directory, 'next', { by: fresh })))
    t.equal(await nameOn(next), '"next"')
    reload(await withAuthorities(fresh.certificate))
    t.equal(await nameOn(socket), 'nobody', 'when its authority is taken away')
    t.equal(await nameOn(next), '"next"')
    reload(await withAuthorities())
    t.equal(await nameOn(next), 'nobody', 'when client certificates no longer count')
    reload(await withAuthorities(old.certificate))
    t.equal(await nameOn(socket), '"agent"', 'and again when it is back')
    setTime(Date.now() + 3 * DAY)
    t.equal(await nameOn(socket), 'nobody', 'not after the day to which it is valid')
  },
)

t.test('no second handshake on a connection can show another certificate', needsOpenssl, async t => {
  const directory = t.testdir({})
  const server = makeCertificate(directory, 'mirror.test')
  const authority = issueAuthority(directory, 'authority')
  const { port } = await open(t, await readCertificates([{ ...server, clientCa: authority.certificate }]))
  const agent = asClient(issue(directory, 'agent', { by: authority }))
  const socket = await connected(t, port, { ...agent, maxVersion: 'TLSv1.2' })
  let renegotiated = false
  socket.renegotiate({}, () => (renegotiated = true))
  await nameOn(socket).catch(() => 'closed')
  t.equal(renegotiated, false)
})

t.test(
  'without client authorities nobody is asked for a certificate, and sessions are resumed',
  needsOpenssl,
  async t => {
    const directory = t.testdir({})
    const server = makeCertificate(directory, 'mirror.test')
    const authority = issueAuthority(directory, 'authority')
    const plain = await readCertificates([server])
    t.equal(plain.askClients, false)
    const { port, reload } = await open(t, plain)
    const isResumed = async (version: 'TLSv1.2' | 'TLSv1.3'): Promise<boolean> => {
      const options = { minVersion: version, maxVersion: version, servername: 'mirror.test' } as const
      const first = await connected(t, port, options)
      let session: Buffer | undefined
      first.on('session', each => (session = each))
      await nameOn(first)
      // Of TLS 1.2 it came with the handshake.
      session ??= first.getSession()
      const second = await connected(t, port, { ...options, ...(session && { session }) })
      t.equal(await nameOn(second), 'nobody')
      return second.isSessionReused()
    }
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) t.equal(await isResumed(version), true, version)
    reload(await readCertificates([{ ...server, clientCa: authority.certificate }]))
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) t.equal(await isResumed(version), false, version)
  },
)
