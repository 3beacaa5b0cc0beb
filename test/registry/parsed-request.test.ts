import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import t from 'tap'
import { ROUTES } from '../../src/oci/endpoint.js'
import { OciError } from '../../src/oci/error.js'
import { parsedRequest, routeOf } from '../../src/registry/parsed-request.js'

const raw = (method: string, url: string): IncomingMessage =>
  Object.assign(new IncomingMessage(new Socket()), { method, url })

t.test('the router sees one of a few constant texts, whatever the path', async t => {
  const digest = `sha256:${'a'.repeat(64)}`
  for (const [path, route] of [
    ['/v2', ROUTES.base],
    ['/v2/_catalog?n=1', ROUTES.catalog],
    ['/v2/tags/list/tags/list', ROUTES.tags],
    ['/v2/a/manifests/manifests/v1', ROUTES.manifest],
    [`/v2/a/b/c/blobs/${digest}`, ROUTES.blob],
    [`/v2/a/referrers/${digest}`, ROUTES.referrers],
    ['/v2/a/../b', '/'],
    ['/v2/%61/tags/list', '/'],
    ['http://evil/v2/', '/'],
    ['*', '/'],
    ['/:name', '/'],
  ] as const) {
    const request = raw('GET', path)
    t.equal(routeOf(request), route, path)
    t.equal(parsedRequest(request) instanceof OciError, route === '/', path)
  }
  t.ok(parsedRequest(raw('GET', '/v2/')) instanceof OciError, 'what was never parsed is nothing')
})
