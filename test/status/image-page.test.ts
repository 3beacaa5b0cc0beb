import t from 'tap'
import type { ListedImage } from '../../src/status/image-list.js'
import { ImageQuery, pageOf } from '../../src/status/image-page.js'
import { Wanted } from '../../src/status/wanted.js'

function listed(repository: string, size: number, platforms = ['linux/amd64']): ListedImage {
  const place = { upstream: 'main', repository }
  return {
    ...place,
    name: `main/${repository}:v1`,
    reference: 'v1',
    digest: `sha256:${repository}`,
    size,
    platforms,
    complete: 'all',
  }
}

const images = [listed('zebra', 300, ['linux/arm64']), listed('team/app', 200), listed('base', 100)]
const list = { images, leftOut: 4, at: 7 }
const names = (page: ReturnType<typeof pageOf>) => page.rows.map(({ repository }) => repository)

t.test('images are searched by every word, in the name, the platforms and the digest', async t => {
  const find = (q: string) => names(pageOf(list, images, ImageQuery.parse({ q, sort: 'size' }), new Wanted()))
  t.same(find(''), ['zebra', 'team/app', 'base'])
  t.same(find('TEAM v1'), ['team/app'])
  t.same(find('arm64'), ['zebra'])
  t.same(find('sha256:ba'), ['base'])
  t.same(find('team zebra'), [])
})

t.test('they come in the order that is asked for', async t => {
  const wanted = new Wanted()
  wanted.add(images[2]!, 'v1', 1)
  const order = (sort?: string) => names(pageOf(list, images, ImageQuery.parse({ sort }), wanted))
  t.same(order(), ['base', 'zebra', 'team/app'])
  t.same(order('name'), ['base', 'team/app', 'zebra'])
  t.same(order('size'), ['zebra', 'team/app', 'base'])
})

t.test('a page has so many, and one beyond the last is the last', async t => {
  const many = Array.from({ length: 60 }, (_, index) => listed(`r${index}`, 100 - index))
  const at = (page: unknown) =>
    pageOf({ images: many, leftOut: 0, at: 0 }, many, ImageQuery.parse({ page, sort: 'size' }), new Wanted())
  t.match(at('1'), { page: 1, pages: 3, found: 60, seen: 60, all: 60, rows: { length: 25 } })
  t.match(at('3'), { page: 3, rows: { length: 10 } })
  t.match(at('99'), { page: 3 })
})

t.test('what makes no sense in a query counts as not said', async t => {
  const nothing = { q: '', sort: 'asked', page: 1 }
  for (const query of [
    {},
    { q: ['a', 'b'] },
    { sort: 'x' },
    { page: '-1' },
    { page: 'NaN' },
    { q: 'x'.repeat(201) },
  ])
    t.same(ImageQuery.parse(query), nothing)
})
