import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { startWire, type Forbidden, type Wire } from './wire.js'

/** Sends pieces through a wire to a server that sends them back, each once the one before has come back. */
async function echo(t: Test, forbidden: Forbidden, pieces: readonly string[]): Promise<Wire['leaks']> {
  const server = createServer(socket => socket.pipe(socket))
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const wire = await startWire(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`, forbidden)
  const client = connect(Number(new URL(wire.url).port), '127.0.0.1')
    .setNoDelay(true)
    .setEncoding('latin1')
  t.teardown(() => client.destroy())
  let [sent, back] = ['', '']
  for (const piece of pieces) {
    client.write(piece)
    sent += piece
    while (back.length < sent.length) back += String((await once(client, 'data'))[0])
  }
  t.equal(back, sent, 'every byte passes as it is')
  return wire.leaks
}

t.test('a word is heard wherever it is cut, in both directions', async t => {
  const word = 'secret'
  for (let at = 0; at <= word.length; at++) {
    const leaks = await echo(t, { toServer: [word] }, [
      `before ${word.slice(0, at)}`,
      `${word.slice(at)} after`,
    ])
    t.same([...leaks], [word], `cut at ${at}`)
  }
  t.same(
    [...(await echo(t, { toServer: [word] }, ['a s', 'e', 'c', 'r', 'e', 't', ' b']))],
    [word],
    'in single bytes',
  )
  t.same([...(await echo(t, { toClient: [word] }, ['a secr', 'et b']))], [word])
})

t.test('what is no such word is not heard', async t => {
  t.same([...(await echo(t, { toServer: ['secret'], toClient: ['word'] }, ['secre', ' t', 'wor', 'ld']))], [])
  t.same([...(await echo(t, {}, ['secret']))], [])
})
