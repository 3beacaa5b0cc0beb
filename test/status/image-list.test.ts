import t from 'tap'
import { digestOf } from '../../src/oci/digest.js'
import { ImageLists } from '../../src/status/image-list.js'
import type { CachedImage, ImageVariant } from '../../src/store/images.js'

const digest = digestOf(Buffer.from('x'))

function image(repository: string, sizes: readonly number[], missing = 0): CachedImage {
  const variants = sizes.map((size, index): ImageVariant => ({
    platform: `linux/${index}`,
    digest,
    size,
    missing: index < missing ? [{ digest, size: 1, what: 'bytes' }] : [],
    contents: [digest],
  }))
  return { scope: { registry: 'r', repository }, tag: 'v1', digest, variants }
}

const placeOf = ({ repository }: { readonly repository: string }) =>
  repository === 'gone' ? undefined : { upstream: 'main', repository }

t.test('a look is begun when somebody asks and the last is old, one at a time, and nobody waits', async t => {
  let now = 0
  let looks = 0
  const lists = new ImageLists({
    now: () => now,
    every: 1_000,
    placeOf,
    look: async function* () {
      looks++
      yield image('small', [1])
      yield image('gone', [5])
      yield image('large', [50, 60], 1)
      yield image('broken', [3], 1)
      now += 20_000
    },
  })
  t.equal(lists.latest(), undefined)
  t.equal(lists.latest(), undefined)
  await lists.settled()
  const list = lists.latest()
  t.match(list?.images, [
    { name: 'main/large:v1', size: 110, platforms: ['linux/0', 'linux/1'], complete: 'some' },
    { name: 'main/broken:v1', complete: 'none' },
    { name: 'main/small:v1', size: 1, complete: 'all' },
  ])
  t.equal(looks, 1)
  now += 9 * 20_000 - 1
  t.equal(lists.latest(), list, 'a look that took long is not begun again soon')
  t.equal(looks, 1)
  now += 1
  t.equal(lists.latest(), list, 'the old one is there meanwhile')
  await lists.settled()
  t.equal(looks, 2)
  t.not(lists.latest(), list)
  await lists.close()
})

t.test('there are no more than so many, and the others are counted', async t => {
  const lists = new ImageLists({
    now: () => 0,
    max: 2,
    placeOf,
    look: async function* () {
      for (let count = 0; count < 5; count++) yield image(`r${count}`, [count])
    },
  })
  lists.latest()
  await lists.settled()
  t.match(lists.latest(), { leftOut: 3, images: { length: 2 } })
  await lists.close()
})

t.test('what fails leaves the last list, and is tried again later', async t => {
  let now = 0
  let fails = false
  const lists = new ImageLists({
    now: () => now,
    every: 10,
    placeOf,
    look: async function* () {
      if (fails) throw new Error('EIO')
      yield image('app', [1])
    },
  })
  lists.latest()
  await lists.settled()
  fails = true
  now = 10
  t.equal(lists.latest()?.images.length, 1)
  await lists.settled()
  t.equal(lists.latest()?.images.length, 1)
  await lists.close()
  now = 100
  t.equal(lists.latest()?.images.length, 1, 'and once closed nothing is begun')
})
