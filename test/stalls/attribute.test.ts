import type { Profiler } from 'node:inspector'
import t from 'tap'
import { explain, ownMs } from './attribute.js'
import { Locator } from './locate.js'
import type { Stall } from './report.js'

const ROOT = '/house/'

/** Stacks, the outermost function first, as nodes of a profile; ids by the stack's text. */
function profileOf(...stacks: readonly string[]): Profiler.Profile {
  const nodes: (Profiler.ProfileNode & { children: number[] })[] = []
  const ids = new Map<string, number>()
  const nodeOf = (stack: string): number => {
    const known = ids.get(stack)
    if (known !== undefined) return known
    const frames = stack.split(' > ')
    const [functionName = '', url = ''] = frames.at(-1)?.split('@') ?? []
    const id = nodes.length + 1
    const callFrame = { functionName, url, scriptId: '0', lineNumber: 6, columnNumber: 0 }
    nodes.push({ id, callFrame, children: [] })
    ids.set(stack, id)
    if (frames.length > 1) {
      const parent = nodeOf(frames.slice(0, -1).join(' > '))
      nodes.find(node => node.id === parent)?.children.push(id)
    }
    return id
  }
  return {
    nodes,
    startTime: 0,
    endTime: stacks.length * 10_000,
    samples: stacks.map(nodeOf),
    timeDeltas: stacks.map(() => 10_000),
  }
}

const stall = (from: number, to: number, waited = 0): Stall => ({
  from: from * 1000,
  to: to * 1000,
  waited: waited * 1000,
  requests: [],
})
const causes = (stalls: readonly Stall[], ...stacks: readonly string[]) =>
  explain({ stalls, loopDelay: 0, profile: profileOf(...stacks) }, new Locator(ROOT))

const MIRROR = '(root) > read@file:///house/src/oci/manifest.ts'
const TEST = '(root) > build@file:///house/test/hostile/big.test.ts'

t.test('a stall is told by the function that most of its samples lie in', async t => {
  const [first] = causes([stall(0, 45)], MIRROR, MIRROR, MIRROR, TEST, TEST, TEST, TEST)
  t.match(first, {
    owner: 'mirror',
    cause: 'src/oci/manifest.ts:7 read 75 %, test/hostile/big.test.ts:7 build 25 %',
  })
})

t.test('a test that blocks its own process is told apart from the mirror in it', async t => {
  const [first] = causes([stall(0, 45)], TEST, TEST, TEST, MIRROR)
  t.equal(first?.owner, 'test')
})

t.test('what a package or Node does counts for the innermost function that called it', async t => {
  const called = `${TEST} > take@file:///house/src/app.ts > add@file:///house/node_modules/lru/x.js > set@node:map`
  const [first] = causes([stall(0, 15)], called)
  t.match(first, { owner: 'mirror', cause: 'src/app.ts:7 take 100 %' })
  const [alone] = causes([stall(0, 15)], '(root) > add@file:///house/node_modules/lru/x.js > set@node:map')
  t.match(alone, { owner: 'package', cause: 'node_modules/lru/x.js:7 add 100 %' })
})

t.test('garbage collection is told apart from what ran beside it, which it is held against', async t => {
  const [first] = causes(
    [stall(0, 35)],
    '(root) > (garbage collector)',
    '(root) > (garbage collector)',
    MIRROR,
  )
  t.match(first, {
    owner: 'mirror',
    cause: 'garbage collection 67 %, src/oci/manifest.ts:7 read 33 %',
  })
})

t.test('many functions of one owner outweigh one function of another', async t => {
  const functions = ['a', 'b', 'c'].map(name => `(root) > ${name}@node:internal/modules`)
  const [first] = causes([stall(0, 65)], MIRROR, MIRROR, ...functions)
  t.match(first, { owner: 'node', cause: /^src/ })
})

t.test('samples outside of a stall say nothing about it', async t => {
  const [longest, other] = causes(
    [stall(0, 15), stall(20, 60)],
    MIRROR,
    '(root) > (idle)',
    TEST,
    TEST,
    TEST,
    TEST,
  )
  t.match(longest, { ms: 40, owner: 'test' })
  t.match(other, { ms: 15, owner: 'mirror' })
})

t.test('a stall without samples did not run, and what it waited for a CPU is not its own', async t => {
  const [first] = causes([stall(100, 400, 250)], MIRROR)
  t.match(first, { owner: 'unknown', cause: /did not run/ })
  t.equal(first && ownMs(first), 50)
})
