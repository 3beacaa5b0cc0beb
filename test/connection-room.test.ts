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
  t.ok(connections.admit(from('10.0.0.1')))
  t.notOk(connections.admit(from('10.0.0.1')), 'a third of one address')
  t.ok(connections.admit(from('10.0.0.2')))
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
