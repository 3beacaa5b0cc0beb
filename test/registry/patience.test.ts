import t from 'tap'
import { parseRequest } from '../../src/oci/endpoint.js'
import { OciError } from '../../src/oci/error.js'
import { answerLimit, PATIENCE, TIME_LIMITS } from '../../src/registry/patience.js'

const DIGEST = `sha256:${'a'.repeat(64)}`

t.test('how long an answer may take goes by endpoint and method', t => {
  const rows: [method: string, path: string, limit: number][] = [
    ['GET', '/v2/', 25_000],
    ['GET', '/v2/_catalog', 25_000],
    ['GET', '/v2/a/tags/list', 25_000],
    ['GET', `/v2/a/referrers/${DIGEST}`, 25_000],
    ['GET', '/v2/a/manifests/v1', 25_000],
    ['HEAD', '/v2/a/manifests/v1', 25_000],
    ['DELETE', '/v2/a/manifests/v1', 25_000],
    ['PUT', '/v2/a/manifests/v1', Infinity],
    ['GET', `/v2/a/blobs/${DIGEST}`, 10_000],
    ['HEAD', `/v2/a/blobs/${DIGEST}`, 10_000],
    ['DELETE', `/v2/a/blobs/${DIGEST}`, 25_000],
    ['POST', '/v2/a/blobs/uploads/', 25_000],
    ['POST', `/v2/a/blobs/uploads/?mount=${DIGEST}&from=b`, 25_000],
    ['POST', `/v2/a/blobs/uploads/?digest=${DIGEST}`, Infinity],
    ['GET', '/v2/a/blobs/uploads/s', 25_000],
    ['PATCH', '/v2/a/blobs/uploads/s', 25_000],
    ['DELETE', '/v2/a/blobs/uploads/s', 25_000],
    ['PUT', `/v2/a/blobs/uploads/s?digest=${DIGEST}`, Infinity],
  ]
  for (const [method, path, limit] of rows) {
    const parsed = parseRequest(method, path)
    if (parsed instanceof OciError) throw parsed
    t.equal(answerLimit(method, parsed.endpoint, TIME_LIMITS), limit, `${method} ${path}`)
  }
  t.ok(PATIENCE.read < TIME_LIMITS.answer && PATIENCE.write < TIME_LIMITS.answer)
  t.end()
})
