import { createServer, IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import t from 'tap'
import { onceOver } from '../../src/registry/once-over.js'
import { Connection } from '../support/connection.js'

t.test('each answer is over once: written, left, or never begun behind another', async t => {
  const over = new Map<string, number>()
  const waiting: ServerResponse[] = []
  let tell = (): void => undefined
  const server = createServer((request, response) => {
    const { url = '' } = request
    onceOver(request, response, () => over.set(url, (over.get(url) ?? 0) + 1))
    if (url === '/written') response.end('ok')
    else waiting.push(response)
    if (waiting.length === 20) tell()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const client = new Connection(
    `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
  )
  const arrived = new Promise<void>(resolve => (tell = resolve))
  const warnings: Error[] = []
  const warned = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  const paths = ['/written', ...Array.from({ length: 20 }, (_, index) => `/left/${index}`)]
  client.socket.write(paths.map(path => `GET ${path} HTTP/1.1\r\nHost: m\r\n\r\n`).join(''))
  await arrived
  await client.seen('ok')
  t.same([...over], [['/written', 1]])
  client.socket.destroy()
  while (over.size < paths.length) await new Promise(resolve => setImmediate(resolve))
  await new Promise(resolve => setImmediate(resolve))
  t.same(Object.fromEntries(over), Object.fromEntries(paths.map(path => [path, 1])))
  t.same(warnings, [], 'however long the pipeline')
})

t.test('answers that end all at once are dealt with a few in each turn of the event loop', async t => {
  const answers = Array.from({ length: 100 }, () => {
    const request = new IncomingMessage(new Socket())
    return { request, response: new ServerResponse(request) }
  })
  let over = 0
  const order: number[] = []
  for (const [index, { request, response }] of answers.entries())
    onceOver(request, response, () => {
      over++
      order.push(index)
    })
  const perTurn: number[] = []
  for (const { response } of answers) response.emit('close')
  while (over < answers.length) {
    const before = over
    await new Promise(resolve => setImmediate(resolve))
    perTurn.push(over - before)
  }
  t.ok(Math.max(...perTurn) <= 32, `${perTurn.join(' ')} were dealt with`)
  t.same(order, [...answers.keys()], 'in the order in which they ended')
})
