import { createServer } from 'node:http'
import { once } from 'node:events'
import t from 'tap'
import { ask } from '../support/requests.js'
import { authorization, startMirror } from '../support/mirror.js'

t.test('an upstream that leads back to the mirror is found out, and said', async t => {
  let back = ''
  // Between the mirror and itself stands something that passes everything on, as a name in the wrong hosts file does.
  const way = createServer((request, response) => {
    const { method = 'GET', url = '', headers } = request
    ask(back + url, { method, headers: { ...headers, authorization } }).then(
      answer => response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.bytes),
      (error: unknown) => response.destroy(error as Error),
    )
  })
  way.listen(0, '127.0.0.1')
  await once(way, 'listening')
  t.teardown(() => way.close())
  const address = way.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const { url, fetch, ecr } = await startMirror(t, { upstream: { endpoint: `http://127.0.0.1:${port}` } })
  back = url
  const answer = await fetch('/v2/team/app/manifests/v1')
  t.equal(answer.status, 502)
  t.match((await answer.json()).errors[0].message, /leads back to this mirror/)
  t.equal(ecr.count({ at: 'registry' }), 0)
})
