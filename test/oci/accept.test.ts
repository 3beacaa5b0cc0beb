import t from 'tap'
import { accepts, names, normalAccept } from '../../src/oci/accept.js'

t.test('the same set has one spelling, whatever its order, case, spaces and repetitions', async t => {
  t.equal(normalAccept('b/b, A/a ,b/b,,'), 'a/a,b/b')
  t.equal(normalAccept('a/a,b/b'), normalAccept('b/b,  a/a'))
  t.not(normalAccept('a/a'), normalAccept('a/a, b/b'))
  t.not(normalAccept('a/a;q=0.1'), normalAccept('a/a'), 'a preference is part of the question')
  t.equal(normalAccept(undefined), '')
  t.equal(normalAccept('a/a, \u00e9/x, \u0001'), 'a/a', 'what no header can carry is not asked for')
})

t.test('a media type is taken by its name, its family, or when everything is', async t => {
  t.ok(
    accepts('x/y, application/vnd.oci.image.index.v1+json;q=0.5', 'application/vnd.oci.image.index.v1+json'),
  )
  t.ok(accepts('application/*', 'application/json'))
  t.ok(accepts('x/y, */*', 'application/json'))
  t.ok(accepts(undefined, 'application/json'))
  t.ok(accepts('', 'application/json'))
  t.notOk(accepts('application/jsonp', 'application/json'))
  t.notOk(accepts('text/*', 'application/json'))
})

t.test('a media type of weight 0 is not taken', async t => {
  t.notOk(accepts('a/a;q=0', 'a/a'))
  t.notOk(names('a/a; Q=0.000, b/b', 'a/a'))
  t.ok(names('a/a;q=0.001', 'a/a'))
  t.ok(names('b/b, A/A;q=0.5', 'a/a'))
  t.notOk(names('*/*', 'a/a'))
})
