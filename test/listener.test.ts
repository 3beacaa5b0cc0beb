import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { readCertificates } from '../src/certificates.js'
import { ConnectionRoom } from '../src/connection-room.js'
import { listen, type Listener, type ListenerLimits, type ListenerOptions } from '../src/listener.js'
import { answerParserError } from '../src/registry/errors.js'
import { makeCertificate } from './support/certificate.js'

const LIMITS = { idleTimeout: 5_000, headersTimeout: 5_000 }

function roomFor(connections: number): ConnectionRoom {
  return new ConnectionRoom({
    maxConnections: connections,
    maxConnectionsPerAddress: connections,
    isShared: () => false,
  })
}

async function open(
  t: Test,
  onRequest: RequestListener,
  {
    limits,
    ...options
  }: Partial<Omit<ListenerOptions, 'limits'>> & { limits?: Partial<ListenerLimits> } = {},
): Promise<Listener> {
  const listener = await listen({
    address: { host: '127.0.0.1', port: 0 },
    certificates: undefined,
    room: roomFor(100),
    onParserError: answerParserError,
    onError: error => t.fail(String(error)),
    ...options,
    limits: { ...LIMITS, ...limits },
    onRequest,
  })
  t.teardown(async () => {
    const drained = listener.drain()
    listener.cut()
    await drained
  })
  return listener
}

/** A connection with what came back on it so far. */
class Client {
  received = ''
  readonly socket: Socket
  readonly closed: Promise<string>
  constructor({ url }: Listener) {
    this.socket = connect(Number(new URL(url).port), '127.0.0.1')
    this.socket.on('data', chunk => (this.received += chunk.toString('latin1')))
    this.socket.on('error', () => undefined)
    this.closed = new Promise(resolve => this.socket.once('close', () => resolve(this.received)))
  }
  async seen(text: string): Promise<void> {
    while (!this.received.includes(text)) await once(this.socket, 'data')
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: m\r\n\r\n`

t.test(
  'TLS: the certificate by server name or none, changed while it runs, and nothing before 1.2',
  async t => {
    const directory = t.testdir({})
    const [one, two, fresh] = ['one', 'two', 'fresh'].map(file =>
      makeCertificate(directory, file === 'two' ? 'two.test' : 'one.test', file),
    ) as [
      ReturnType<typeof makeCertificate>,
      ReturnType<typeof makeCertificate>,
      ReturnType<typeof makeCertificate>,
    ]
    const listener = await open(t, (_request, response) => response.end('served'), {
      certificates: await readCertificates([one, two]),
    })
    t.match(listener.url, /^https:/)
    const shown = async (options: ConnectionOptions): Promise<string> => {
      const socket: TLSSocket = connectTls({
        host: '127.0.0.1',
        port: Number(new URL(listener.url).port),
        rejectUnauthorized: false,
        ...options,
      })
      await once(socket, 'secureConnect')
      const { fingerprint256 } = socket.getPeerX509Certificate()!
      socket.write(get('/'))
      const [answer] = (await once(socket, 'data')) as [Buffer]
      t.match(answer.toString(), /^HTTP\/1\.1 200/)
      socket.destroy()
      return fingerprint256
    }
    const { X509Certificate } = await import('node:crypto')
    const printOf = ({ pem }: { pem: string }): string => new X509Certificate(pem).fingerprint256
    t.equal(await shown({ servername: 'two.test' }), printOf(two))
    t.equal(await shown({ servername: 'one.test' }), printOf(one))
    t.equal(await shown({}), printOf(one), 'a client that connects to an address names no server')
    await t.rejects(shown({ servername: 'one.test', minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }))

    listener.useCertificates(await readCertificates([fresh, two]))
    t.equal(await shown({ servername: 'one.test' }), printOf(fresh))
    t.equal(await shown({}), printOf(fresh))

    const plain = new Client(listener)
    plain.socket.write(get('/'))
    t.notMatch(await plain.closed, /HTTP/, 'plain HTTP gets no answer that it could take for one')
  },
)

t.test('connections beyond the limit are refused, and there is room again when one ends', async t => {
  const listener = await open(t, (_request, response) => response.end(), { room: roomFor(2) })
  const [first, second] = [new Client(listener), new Client(listener)]
  for (const client of [first, second]) {
    client.socket.write(get('/'))
    await client.seen('200 OK')
  }
  t.equal(await new Client(listener).closed, '', 'the third')
  first.socket.destroy()
  await first.closed
  await pause(50)
  const third = new Client(listener)
  third.socket.write(get('/'))
  await third.seen('200 OK')
  t.pass('served')
})

t.test('slow headers end with 408, connections that say nothing end too', async t => {
  const listener = await open(t, () => t.fail('no request came'), { limits: { headersTimeout: 300 } })
  const [slow, silent] = [new Client(listener), new Client(listener)]
  slow.socket.write('GET / HTTP/1.1\r\nHost: m\r\nX-Slow: ')
  t.match(await slow.closed, /^HTTP\/1\.1 408[\s\S]*"errors"/)
  await silent.closed
})

t.test('progress in either direction keeps a connection, standing still ends it', async t => {
  const listener = await open(
    t,
    (request, response) => {
      const answer = async (): Promise<void> => {
        for (let piece = 0; piece < 5; piece++) {
          response.write('piece ')
          await pause(150)
        }
        response.end('end')
      }
      request.resume()
      request.once('end', () => void answer())
    },
    { limits: { idleTimeout: 600 } },
  )
  const lively = new Client(listener)
  lively.socket.write('PATCH / HTTP/1.1\r\nHost: m\r\nContent-Length: 5\r\n\r\n')
  for (const byte of 'hello') {
    await pause(150)
    lively.socket.write(byte)
  }
  await lively.seen('end')
  t.pass('longer than the limit in all, never within')
  const stalled = new Client(listener)
  stalled.socket.write('PATCH / HTTP/1.1\r\nHost: m\r\nContent-Length: 5\r\n\r\nhe')
  t.equal(await stalled.closed, '')
})

t.test(
  'a client that waits for its answer is not idle, and is again when the next byte is its own',
  async t => {
    const limits = { idleTimeout: 200 }
    const slow: string[] = []
    const listener = await open(
      t,
      (request, response) => {
        if (request.url === '/half') {
          // What has come of the body is not read for a while.
          void pause(700).then(() => request.resume())
          return
        }
        request.resume()
        void pause(700).then(() => {
          response.write('begun ')
          void pause(700).then(() => response.end('ended'))
        })
      },
      { limits, onSlow: reason => slow.push(reason) },
    )
    const waiting = new Client(listener)
    waiting.socket.write(get('/'))
    await waiting.seen('ended')
    t.same(slow, [])
    const half = new Client(listener)
    half.socket.write('PUT /half HTTP/1.1\r\nHost: m\r\nContent-Length: 5\r\n\r\nhe')
    t.equal(await half.closed, '')
    t.same(slow, ['idle'])
  },
)

t.test(
  'a connection is probed while it is silent, so that a client that has vanished is found out',
  async t => {
    if (process.platform !== 'linux') return t.pass('only Linux tells')
    const listener = await open(t, () => undefined)
    const client = new Client(listener)
    client.socket.write(get('/'))
    await once(client.socket, 'connect')
    const ends = [new URL(listener.url).port, client.socket.localPort]
      .map(port => `0100007F:${Number(port).toString(16).toUpperCase().padStart(4, '0')}`)
      .join(' ')
    let line: string | undefined
    // 01 is ESTABLISHED, and timer 02 the one of keep-alive (Linux, Documentation/networking/proc_net_tcp).
    while (!line) {
      line = (await readFile('/proc/net/tcp', 'utf8')).split('\n').find(each => each.includes(ends))
      if (!/ 01 \S+ 02:/.test(line ?? '')) line = undefined
      await pause(10)
    }
    t.ok(line)
  },
)

t.test('what is no HTTP is answered, unless that would be taken for another answer', async t => {
  let begin = (): void => undefined
  const begun = new Promise<void>(resolve => (begin = resolve))
  const listener = await open(t, (request, response) => {
    if (request.url === '/waits') begin()
    else response.end('ok')
  })
  const first = new Client(listener)
  first.socket.write('HELLO\r\n\r\n')
  t.match(await first.closed, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*Connection: close[\s\S]*"errors"/)

  const later = new Client(listener)
  later.socket.write(get('/'))
  await later.seen('200 OK')
  later.socket.write(`GET / HTTP/1.1\r\nHost: m\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`)
  t.match(await later.closed, /200 OK[\s\S]*HTTP\/1\.1 431/, 'the second request of a connection')

  const behind = new Client(listener)
  behind.socket.write(get('/waits'))
  await begun
  behind.socket.write('HELLO\r\n\r\n')
  t.equal(await behind.closed, '', 'nothing in the place of the answer that is awaited')

  const inBody = new Client(listener)
  inBody.socket.write('PATCH /waits HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')
  t.match(await inBody.closed, /^HTTP\/1\.1 400/, 'a body that is none')
})

t.test('the requests of a connection are served one after the other, and none behind its end', async t => {
  const served: string[] = []
  let finish = (): void => undefined
  const listener = await open(t, (request, response) => {
    served.push(request.url ?? '')
    if (request.url === '/waits') finish = () => response.end('waited')
    else if (request.url === '/last') response.writeHead(400, { connection: 'close' }).end('refused')
    else response.end('ok')
  })
  const client = new Client(listener)
  client.socket.write(get('/first') + get('/waits') + get('/third') + get('/last') + get('/behind').repeat(3))
  await client.seen('ok')
  await pause(50)
  t.same(served, ['/first', '/waits'], 'the third waits for the second')
  finish()
  t.match(await client.closed, /ok[\s\S]*waited[\s\S]*ok[\s\S]*refused/)
  t.same(served, ['/first', '/waits', '/third', '/last'])
})

t.test('a client that sends on and on without an answer is cut off', async t => {
  let served = 0
  const listener = await open(t, () => {
    served++
  })
  const [modest, greedy] = [new Client(listener), new Client(listener)]
  modest.socket.write(get('/').repeat(100))
  greedy.socket.write(get('/').repeat(101))
  t.equal(await greedy.closed, '')
  t.equal(served, 2)
  t.equal(modest.socket.closed, false)
})

t.test('a tunnel is refused', async t => {
  const listener = await open(t, () => t.fail('it is no request'))
  const client = new Client(listener)
  client.socket.write('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n')
  t.match(await client.closed, /^HTTP\/1\.1 405 Method Not Allowed\r\n[\s\S]*"UNSUPPORTED"/)
})

t.test('100 Continue is said to who is wanted to send, and to nobody else', async t => {
  const listener = await open(t, (request, response) => {
    if (request.url === '/refused') return void response.writeHead(403, { connection: 'close' }).end()
    request.on('data', () => undefined).on('end', () => response.end('taken'))
  })
  const expecting = (path: string): string =>
    `PATCH ${path} HTTP/1.1\r\nHost: m\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`
  const wanted = new Client(listener)
  wanted.socket.write(expecting('/'))
  await wanted.seen('100 Continue\r\n\r\n')
  wanted.socket.write('hello')
  await wanted.seen('taken')
  const refused = new Client(listener)
  refused.socket.write(expecting('/refused'))
  t.match(await refused.closed, /^HTTP\/1\.1 403/)
})

t.test('draining: requests in flight end, everything else ends now, nobody comes in', async t => {
  let finish = (): void => undefined
  const listener = await open(t, (request, response) => {
    if (request.url === '/waits') finish = () => response.end('finished')
    else response.end('ok')
  })
  const [busy, idle, silent, halfway] = [1, 2, 3, 4].map(() => new Client(listener)) as [
    Client,
    Client,
    Client,
    Client,
  ]
  idle.socket.write(get('/'))
  await idle.seen('ok')
  halfway.socket.write('GET / HTTP/1.1\r\nHo')
  busy.socket.write(get('/waits'))
  await pause(100)
  const drained = listener.drain()
  await Promise.all([idle.closed, silent.closed, halfway.closed])
  const [refusal] = (await once(new Client(listener).socket, 'error')) as [NodeJS.ErrnoException]
  t.equal(refusal.code, 'ECONNREFUSED')
  finish()
  t.match(await busy.closed, /Connection: close[\s\S]*finished$/, 'the client is told not to come back here')
  await drained
})

t.test('draining: whoever has just connected is served, since the request is on its way', async t => {
  const listener = await open(t, (_request, response) => response.end('ok'))
  const [silent, late] = [new Client(listener), new Client(listener)]
  await Promise.all([once(silent.socket, 'connect'), once(late.socket, 'connect')])
  await pause(50)
  const drained = listener.drain()
  late.socket.write(get('/'))
  t.match(await late.closed, /Connection: close[\s\S]*ok$/)
  t.equal(await silent.closed, '', 'it does not wait for long')
  await drained
})

t.test('retired: it goes on taking connections, and each ends with its next answer', async t => {
  let finish = (): void => undefined
  const listener = await open(t, (request, response) => {
    if (request.url === '/waits') finish = () => response.end('finished')
    else if (request.url === '/begun') {
      response.write('begun')
      finish = () => response.end('finished')
    } else response.end('ok')
  })
  const [waiting, idle, begun] = [new Client(listener), new Client(listener), new Client(listener)]
  idle.socket.write(get('/'))
  await idle.seen('ok')
  waiting.socket.write(get('/waits'))
  await pause(100)
  const finishWaiting = finish
  begun.socket.write(get('/begun'))
  await begun.seen('begun')
  listener.retire()

  finishWaiting()
  t.match(await waiting.closed, /Connection: close[\s\S]*finished$/, 'of one that waits for an answer')
  idle.socket.write(get('/'))
  t.match(
    await idle.closed,
    /Connection: keep-alive[\s\S]*Connection: close[\s\S]*ok$/,
    'of one that was idle',
  )
  finish()
  await begun.seen('finished')
  begun.socket.write(get('/'))
  t.match(await begun.closed, /finished[\s\S]*Connection: close[\s\S]*ok$/, 'of one that was promised more')
  const late = new Client(listener)
  late.socket.write(get('/'))
  t.match(
    await late.closed,
    /^HTTP\/1\.1 200[\s\S]*Connection: close[\s\S]*ok$/,
    'and of one that came later',
  )
})

t.test('cut ends also what has not got through the handshake of TLS', async t => {
  const certificate = makeCertificate(t.testdir({}), 'one.test')
  const listener = await open(t, () => undefined, {
    certificates: await readCertificates([certificate]),
    limits: { headersTimeout: 600_000 },
  })
  const silent = new Client(listener)
  await once(silent.socket, 'connect')
  silent.socket.write(Buffer.from([22, 3, 1]))
  await pause(100)
  const drained = listener.drain()
  listener.cut()
  await drained
  t.equal(await silent.closed, '')
})

t.test('cut ends what is still going on', async t => {
  const listener = await open(t, (_request, response) => void response.write('begun'))
  const client = new Client(listener)
  client.socket.write(get('/'))
  await client.seen('begun')
  const drained = listener.drain()
  listener.cut()
  await drained
  t.notMatch(await client.closed, /0\r\n\r\n$/, 'and does not look complete')
})

t.test('a port that is taken or an address that is not here', async t => {
  const { url } = await open(t, () => undefined)
  await t.rejects(
    open(t, () => undefined, { address: { host: '127.0.0.1', port: Number(new URL(url).port) } }),
    {
      code: 'EADDRINUSE',
    },
  )
  await t.rejects(
    open(t, () => undefined, { address: { host: '192.0.2.1', port: 0 } }),
    {
      code: 'EADDRNOTAVAIL',
    },
  )
  const v6 = await open(t, (_request, response) => response.end(), {
    address: { host: '::1', port: 0 },
  }).catch(() => undefined)
  if (v6) t.match(v6.url, /^http:\/\/\[::1\]:\d+$/)
})
