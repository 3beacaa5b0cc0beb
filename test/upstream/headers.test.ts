import t from 'tap'
import { headerOf, outboundHeaders, passedOn } from '../../src/upstream/headers.js'

t.test('what goes out is built from the list', async t => {
  const headers = outboundHeaders(
    {
      accept: 'a/b, c/d',
      authorization: 'Basic x',
      cookie: 'a=b',
      range: 'bytes=0-1',
      'accept-encoding': 'gzip',
      'user-agent': 'docker',
    },
    ['accept', 'content-type'],
  )
  t.match(headers['user-agent'], /^ecr-mirror\//)
  t.same(
    { ...headers, 'user-agent': '', via: '' },
    { accept: 'a/b, c/d', 'accept-encoding': 'identity', 'user-agent': '', via: '' },
  )
  t.equal(outboundHeaders({ accept: 'a\u0001b' }, ['accept']).accept, undefined, 'nothing unprintable')
})

t.test('what comes back is on the list too, with all of its values', async t => {
  const passed = passedOn({
    'oci-subject': 'sha256:a',
    'oci-tag': ['v1', 'v2'],
    warning: ['299 - "one"', '299 - "two"'],
    'www-authenticate': 'Basic',
    location: 'https://far/',
    'set-cookie': ['a=b'],
    server: 'x',
  } as never)
  t.same(Object.keys(passed).sort(), ['oci-subject', 'oci-tag', 'warning'])
  t.equal(passed['oci-tag'], 'v1, v2')
  t.equal(passed.warning, '299 - "one", 299 - "two"')
  t.same(passedOn({ warning: 'a\r\nb' }), {}, 'nothing that splits an answer')
  t.same(
    passedOn({ warning: '299 - "at 1.dkr.ecr.us-east-1.amazonaws.com"', 'oci-tag': 'v1' }),
    { 'oci-tag': 'v1' },
    'nor anything that tells of the far side',
  )
})

t.test('a header has one printable value or none', async t => {
  t.equal(headerOf({ link: 'x' }, 'link'), 'x')
  t.equal(headerOf({}, 'link'), undefined)
  t.equal(headerOf({ link: ['x', 'y'] }, 'link'), undefined)
  t.equal(headerOf({ link: 'x\n' }, 'link'), undefined)
  t.equal(headerOf({ link: 'x'.repeat(16_385) }, 'link'), undefined)
})
