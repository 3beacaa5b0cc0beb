import t from 'tap'
import { PartTable, type Part } from '../../src/store/part-table.js'

const bounds = (part: Part | undefined): readonly number[] | undefined => part && [part.first, part.last]
const finish = (table: PartTable, part: Part | undefined): void => {
  if (part) table.advance(part, part.last - part.first + 1)
}

t.test('parts are taken in order when nobody wants anything', async t => {
  const table = new PartTable(250)
  t.same(bounds(table.take([], 100)), [0, 99])
  t.same(bounds(table.take([], 100)), [100, 199])
  t.same(bounds(table.take([], 100)), [200, 249])
  t.equal(table.take([], 100), undefined)
})

t.test('a crumb goes with the part before it', async t => {
  const table = new PartTable(120)
  t.same(bounds(table.take([], 100)), [0, 119])
})

t.test('what is nearest ahead of a wanted position comes first', async t => {
  const table = new PartTable(1000)
  t.same(bounds(table.take([500], 100)), [500, 599])
  t.same(bounds(table.take([10, 450], 100)), [0, 99], 'at the grain of a part')
  t.same(bounds(table.take([550, 50], 100)), [600, 699], 'of two the nearer')
  t.same(bounds(table.take([999], 100)), [900, 999])
  t.same(bounds(table.take([950], 100)), [100, 199], 'behind is better than nothing')
})

t.test('the first part is as long as it is told to be', async t => {
  const table = new PartTable(1000)
  t.same(bounds(table.takeFirst(700)), [0, 700])
  t.same(bounds(table.take([], 300)), [701, 999])
  t.equal(new PartTable(0).takeFirst(-1), undefined)
})

t.test('bytes are readable up to the next gap', async t => {
  const table = new PartTable(300)
  const [first, second, third] = [1, 2, 3].map(() => table.take([], 100))
  t.equal(table.mark, 0)
  if (second) table.advance(second, 30)
  t.same(
    [0, 99, 100, 129, 130].map(position => table.readableTo(position)),
    [0, 99, 130, 130, 130],
  )
  finish(table, first)
  t.equal(table.mark, 130)
  t.equal(table.received, 130)
  finish(table, second)
  finish(table, third)
  t.equal(table.mark, 300)
  t.equal(table.readableTo(500), 500)
  t.equal(new PartTable(0).mark, 0)
})

t.test('what is nobody’s is told from what is being fetched', async t => {
  const table = new PartTable(1000)
  const part = table.take([], 100)
  t.notOk(table.isOpen(50))
  t.ok(table.isOpen(100))
  finish(table, part)
  t.notOk(table.isOpen(50))
})

t.test('more than a part cannot arrive for it', async t => {
  const table = new PartTable(200)
  const part = table.take([], 100)
  t.throws(() => part && table.advance(part, 101), RangeError)
  finish(table, part)
  t.throws(() => part && table.advance(part, 1), RangeError)
})

t.test('whatever is taken and arrives, every byte is fetched once', async t => {
  for (let round = 0; round < 200; round++) {
    const size = 1 + Math.floor(Math.random() * 5000)
    const table = new PartTable(size)
    const fetched = new Uint8Array(size)
    const taken: Part[] = []
    while (table.received < size) {
      const part = Math.random() < 0.5 ? table.take([Math.floor(Math.random() * size)], 100) : undefined
      if (part) taken.push(part)
      const each = taken[Math.floor(Math.random() * taken.length)]
      if (!each || each.first > each.last) continue
      const count = 1 + Math.floor(Math.random() * (each.last - each.first + 1))
      for (let byte = each.first; byte < each.first + count; byte++) fetched[byte] = (fetched[byte] ?? 0) + 1
      table.advance(each, count)
      const gap = fetched.indexOf(0)
      if (table.mark !== (gap === -1 ? size : gap)) t.fail('the mark is wrong')
    }
    if (!fetched.every(times => times === 1)) t.fail('a byte was fetched twice')
  }
  t.pass('200 rounds')
})

t.test('a table that begins with what is there takes only what is missing', async t => {
  const present = [
    { first: 100, last: 199 },
    { first: 300, last: 349 },
  ]
  const table = new PartTable(400, present)
  t.equal(table.received, 150)
  t.same(table.present, present)
  t.same(table.firstGap, { first: 0, last: 99, taken: false })
  t.same(
    [0, 100, 150, 200, 300].map(position => table.readableTo(position)),
    [0, 200, 200, 200, 350],
  )
  t.same(bounds(table.takeFirst(399)), [0, 99], 'no more than is missing in one piece')
  t.same(bounds(table.take([], 60)), [200, 259])
  t.same(bounds(table.take([], 60)), [260, 299])
  t.same(bounds(table.take([], 60)), [350, 399])
  t.equal(table.take([], 60), undefined)
})

t.test('what is there is told in order and in as few pieces as can be', async t => {
  const table = new PartTable(300)
  t.same(table.present, [])
  const [first, second, third] = [1, 2, 3].map(() => table.take([], 100))
  if (third) table.advance(third, 50)
  if (second) table.advance(second, 1)
  t.same(table.present, [
    { first: 100, last: 100 },
    { first: 200, last: 249 },
  ])
  finish(table, first)
  finish(table, second)
  t.same(table.present, [{ first: 0, last: 249 }])
  finish(table, third)
  t.same(table.present, [{ first: 0, last: 299 }])
  const whole = new PartTable(300, table.present)
  t.equal(whole.firstGap, undefined)
  t.equal(whole.takeFirst(299), undefined)
  t.equal(whole.mark, 300)
  t.same(new PartTable(0).present, [])
})
