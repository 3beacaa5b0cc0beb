import { createServer, type ServerResponse } from 'node:http'
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
