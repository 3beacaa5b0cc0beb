import t from 'tap'
import { ownPath } from '../../src/upstream/location.js'

const upstream = { host: '123456789012.dkr.ecr.us-east-1.amazonaws.com' }

t.test("a place of the upstream's own, however it is written", async t => {
  for (const location of [
    `https://${upstream.host}/v2/a/b?x=1`,
    `https://${upstream.host}:443/v2/a/b?x=1`,
    `//${upstream.host}/v2/a/b?x=1`,
    '/v2/a/b?x=1',
  ])
    t.equal(ownPath(location, upstream), '/v2/a/b?x=1', location)
  t.equal(ownPath('http://10.0.0.1:8080/v2/a', { ...upstream, endpoint: 'http://10.0.0.1:8080' }), '/v2/a')
})

t.test('and nothing else', async t => {
  for (const location of [
    undefined,
    'https://evil.example/v2/a',
    `https://${upstream.host}.evil.example/v2/a`,
    `https://${upstream.host}:8443/v2/a`,
    `https://user:word@${upstream.host}/v2/a`,
    `https://${upstream.host}\\@evil.example/v2/a`,
    '//evil.example/v2/a',
    '/v3/a',
    '/v2/../a',
    '/v2/%2e%2e/a',
    'https://',
    'javascript:alert(1)',
    '',
  ])
    t.equal(ownPath(location, upstream), undefined, String(location))
})
