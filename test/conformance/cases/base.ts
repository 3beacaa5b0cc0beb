import assert from 'node:assert/strict'
import { category } from '../case.js'
import { expect, expectHeader } from '../client.js'

/** Distribution-spec, "Determining support". */
export const base = category('base', {
  'GET /v2/ is 200': async client => {
    expect(await client.send('GET', '/v2/'), 200)
  },
  'GET /v2/ names the version of the API': async client => {
    expectHeader(await client.send('GET', '/v2/'), 'docker-distribution-api-version', 'registry/2.0')
  },
  'without credentials, GET /v2/ is 401 with a challenge': async client => {
    const answer = await client.send('GET', '/v2/', { anonymous: true })
    expect(answer, 401)
    assert.match(answer.header('www-authenticate') ?? 'none', /^(?:Basic|Bearer) realm="/i)
  },
})
