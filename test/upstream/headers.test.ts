import t from 'tap'
import { headerOf, outboundHeaders, passedOn } from '../../src/upstream/headers.js'

t.test('an upstream sees the headers that are meant for it, and nothing else of a client', t => {
  const inbound = {
    accept: 'a/b',
    authorization: 'Basic eDp5',
    cookie: 'a=b',
    'x-forwarded-for': '192.0.2.1',
    range: 'bytes=0-1',
  }
  const { 'user-agent': agent, ...sent } = outboundHeaders(inbound, ['accept', 'range', 'content-type'])
  t.strictSame(sent, { accept: 'a/b', range: 'bytes=0-1', 'accept-encoding': 'identity' })
  t.match(agent, /^ecr-mirror\//)
  t.end()
})

t.test('a client sees what the specification lets a registry say, and nothing else of the upstream', t => {
  const answer = {
    'oci-subject': 'sha256:00',
    server: 'nginx',
    'x-amzn-requestid': 'r',
    'set-cookie': ['a=b'],
  }
  t.strictSame(passedOn(answer), { 'oci-subject': 'sha256:00' })
  t.end()
})

t.test('a header that came in several lines is passed on as one', t => {
  t.strictSame(passedOn({ 'oci-tag': ['1.2, 1', 'latest'], warning: ['299 - "a"', '299 - "b"'] } as never), {
    'oci-tag': '1.2, 1, latest',
    warning: '299 - "a", 299 - "b"',
  })
  t.end()
})

t.test('a value that is repeated or not printable is none', t => {
  t.equal(headerOf({ location: 'a' }, 'location'), 'a')
  t.equal(headerOf({ location: ['a', 'b'] } as never, 'location'), undefined)
  t.equal(headerOf({ location: 'a\u0000b' }, 'location'), undefined)
  t.strictSame(passedOn({ 'oci-tag': 'ä' }), {})
  t.strictSame(passedOn({ 'oci-tag': ['a', 'x\ny'] }), {})
  t.end()
})
