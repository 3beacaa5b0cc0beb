import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { passing, runCases } from './case.js'
import { CASES } from './cases.js'

t.test('no two cases have the same name', t => {
  t.equal(new Set(CASES.map(each => each.name)).size, CASES.length)
  t.end()
})

t.test('every case fails where nothing works', async t => {
  const url = await serve(t, (request, response) => {
    request.resume()
    response.writeHead(500).end()
  })
  t.strictSame(passing(await runCases(CASES, { url, authorization: 'Basic eDp5' })), [])
})

t.test('a registry that says yes to everything and keeps nothing passes next to none', async t => {
  const yes: Record<string, number> = { GET: 200, HEAD: 200, POST: 202, PATCH: 202, PUT: 201, DELETE: 202 }
  const url = await serve(t, (request, response) => {
    request.resume()
    response.writeHead(yes[request.method ?? ''] ?? 405, { location: '/v2/a', 'content-length': 0 }).end()
  })
  t.strictSame(passing(await runCases(CASES, { url, authorization: 'Basic eDp5' })), [
    'base: GET /v2/ is 200',
    'chunks: the chunk minimum, where there is one, is a number of bytes',
    'chunks: the first chunk is accepted with 202 and a Location',
    'delete: of a blob is done or refused as unsupported',
    'delete: of a tag is done or refused as unsupported',
    'push: a POST names a Location',
    'push: an empty blob',
  ])
})

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
