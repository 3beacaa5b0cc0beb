import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import { ConnectionRoom } from '../src/connection-room.js'

const from = (remoteAddress: string | undefined): Socket =>
  Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket

const room = (
  maxConnections: number,
  maxConnectionsPerAddress: number,
  shared: string[] = [],
): ConnectionRoom =>
  new ConnectionRoom({
    maxConnections,
    maxConnectionsPerAddress,
    isShared: address => shared.includes(address),
  })

t.test('so many in all and so many of an address, until they close', async t => {
  const connections = room(3, 2)
  const first = from('10.0.0.1')
  t.ok(connections.admit(first))
  const second = from('10.0.0.1')
  t.ok(connections.admit(second))
  t.notOk(connections.admit(from('10.0.0.1')), 'a third of one address')
  const third = from('10.0.0.2')
  t.ok(connections.admit(third))
  for (const socket of [first, third]) {
    connections.setBusy(socket, true)
    connections.loggedIn(socket, 'ci')
  }
  connections.loggedIn(second, 'ci')
  t.notOk(connections.admit(from('10.0.0.3')), 'a fourth in all')
  t.match(connections, { all: { inUse: 3, refusals: 1 }, perAddress: { inUse: 2, limit: 2, refusals: 1 } })
  first.emit('close')
  t.match(connections, { all: { inUse: 2 }, perAddress: { inUse: 1 } })
  t.ok(connections.admit(from('10.0.0.1')))
})

t.test('an address is the same however it is written, and a /64 is one host', async t => {
  const connections = room(100, 1)
  for (const address of ['10.0.0.1', '2001:db8:0:1::1', '2001:db8::1', '::1', 'fe80:0:0:1:2::3'])
    t.ok(connections.admit(from(address)), address)
  for (const address of ['::ffff:10.0.0.1', '2001:db8:0:1:ffff::', '2001:db8:0:0:9::', '::2'])
    t.notOk(connections.admit(from(address)), address)
})

t.test('of a proxy that many come from, as many as there may be in all', async t => {
  const connections = room(3, 1, ['10.0.0.9'])
  for (let count = 0; count < 3; count++) t.ok(connections.admit(from('10.0.0.9')))
  t.notOk(connections.admit(from('10.0.0.9')))
  t.equal(connections.perAddress.inUse, 0)
})

t.test('what has closed already is not let in', async t => {
  const connections = room(3, 3)
  t.notOk(connections.admit(from(undefined)))
  t.equal(connections.all.inUse, 0)
})

/** A connection that closes as soon as it is ended. */
function opened(remoteAddress: string, remotePort = 1): Socket & { destroyed: boolean } {
  const socket = Object.assign(new EventEmitter(), {
    remoteAddress,
    remotePort,
    localAddress: '10.0.0.254',
    localPort: 5000,
    destroyed: false,
    destroy() {
      socket.destroyed = true
      socket.emit('close')
      return socket
    },
  })
  return socket as unknown as Socket & { destroyed: boolean }
}

t.test('when all are taken, a newcomer takes the place of a stranger who has more', async t => {
  const connections = room(6, 4)
  const many = Array.from({ length: 4 }, (_, port) => opened('10.0.0.1', port))
  const few = Array.from({ length: 2 }, (_, port) => opened('10.0.0.2', port))
  for (const socket of [...few, ...many]) t.ok(connections.admit(socket))
  t.ok(connections.admit(opened('10.0.0.3')))
  t.same(
    [many, few].map(all => all.map(({ destroyed }) => destroyed)),
    [
      [true, false, false, false],
      [false, false],
    ],
    'the oldest of whoever has most',
  )
  t.ok(connections.admit(opened('10.0.0.2', 7)))
  t.notOk(connections.admit(opened('10.0.0.2', 8)), 'nobody has more than it has already')
  t.match(connections.all, { inUse: 6, refusals: 3 })
})

t.test('who has logged in stays, unless it waits for nothing and strangers are few', async t => {
  const connections = room(4, 4)
  const user = Array.from({ length: 4 }, (_, port) => opened(`10.0.0.${port}`, port))
  for (const socket of user) {
    t.ok(connections.admit(socket))
    connections.setBusy(socket, true)
    connections.loggedIn(socket, 'ci')
  }
  t.notOk(connections.admit(opened('10.0.1.1')), 'all are at work')
  for (const socket of user.slice(1)) connections.setBusy(socket, false)
  const stranger = opened('10.0.1.1')
  t.ok(connections.admit(stranger))
  const destroyed = (): boolean[] => user.map(each => each.destroyed)
  t.same(destroyed(), [false, true, false, false], 'the one that waits for nothing the longest')
  t.ok(connections.admit(opened('10.0.1.2')))
  t.ok(stranger.destroyed, 'strangers go first')
  t.same(destroyed(), [false, true, false, false])
})

t.test('of what a proxy opens, none is told apart from others', async t => {
  const connections = room(3, 1, ['10.0.0.9'])
  const proxied = Array.from({ length: 3 }, (_, port) => opened('10.0.0.9', port))
  for (const socket of proxied) t.ok(connections.admit(socket))
  t.notOk(connections.admit(opened('10.0.0.1')))
  t.notOk(proxied.some(({ destroyed }) => destroyed))
})

t.test('what TLS makes of a connection counts as the connection', async t => {
  const connections = room(2, 2)
  const [raw, secured] = [opened('10.0.0.1'), opened('10.0.0.1')]
  t.ok(connections.admit(raw))
  connections.secured(secured)
  connections.loggedIn(secured, 'ci')
  const stranger = opened('10.0.0.1', 2)
  t.ok(connections.admit(stranger))
  t.notOk(connections.admit(opened('10.0.0.1', 3)))
  t.notOk(raw.destroyed)
})

t.test('requests that came before their turn wait by the address that they came from', async t => {
  const connections = room(400, 400)
  const [one, other] = [opened('10.0.0.1'), opened('10.0.0.2')]
  for (const socket of [one, other]) t.ok(connections.admit(socket))
  const ends: (() => void)[] = []
  const waitingOf = (socket: Socket): number => {
    const before = ends.length
    for (let end = connections.wait(socket); end; end = connections.wait(socket)) ends.push(end)
    return ends.length - before
  }
  t.equal(waitingOf(one), 200)
  t.equal(waitingOf(other), 100)
  for (const end of ends.splice(0)) end()
  t.equal(waitingOf(other), 200)
})
