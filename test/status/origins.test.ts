import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { Origins } from '../../src/status/origins.js'

const digest = (seed: number) => digestOf(Buffer.from(String(seed)))
const place = (repository: string) => ({ upstream: 'main', repository })

t.test('a blob has come from the repositories that it was asked for in last', async t => {
  const origins = new Origins(2)
  t.same(origins.of(digest(1)), [])
  for (const name of ['a', 'b', 'a', 'c', 'd', 'd']) origins.note(digest(1), place(name))
  t.same(origins.of(digest(1)), [place('d'), place('c'), place('a')])
  origins.note(digest(2), place('a'))
  origins.note(digest(3), place('a'))
  t.same(origins.of(digest(1)), [], 'the oldest is forgotten')
  t.same(origins.of(digest(3)), [place('a')])
})
