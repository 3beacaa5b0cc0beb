import t from 'tap'
import { missing } from '../../bench/installed.js'
import { CASES } from '../../bench/cases/cases.js'
import { run, type RunOptions } from '../../bench/run.js'
import { SERVERS } from '../../bench/servers/servers.js'
import { tableOf } from '../../bench/table.js'

const { skip } =
  process.platform === 'linux'
    ? { skip: missing({ command: 'openssl', package: 'openssl' }) }
    : { skip: 'Linux only' }

/** In little, all of it, with nobody who listens. */
const inLittle: RunOptions = {
  quick: true,
  rounds: 1,
  only: [],
  onProgress: () => undefined,
  signal: new AbortController().signal,
}

t.test(
  'every case gets the bytes that it asks for from every server that runs here',
  { ...(skip && { skip }) },
  async t => {
    const ended: number[] = []
    const report = await run({
      ...inLittle,
      onProgress: text => t.comment(text),
      onCase: ({ cases }) => ended.push(cases.length),
    })
    t.same(
      ended,
      CASES.map((_, index) => index + 1),
      'and tells of each when it has ended',
    )
    t.same(
      report.cases.map(({ name }) => name),
      CASES.map(({ name }) => name),
    )
    for (const { title, needs, servers } of CASES) {
      const found = report.cases.find(each => each.title === title)
      const running = servers.filter(name => missing(SERVERS[name].needs) === undefined)
      if (missing(needs) === undefined) t.same(Object.keys(found?.rows[0]?.samples ?? {}), running, title)
      t.equal(
        found?.skipped.length === 0,
        running.length === servers.length && !missing(needs),
        'or says why not',
      )
    }
    const table = tableOf(report)
    for (const { title } of CASES) t.match(table, title)
  },
)

t.test('a case that there is none of is refused', async t => {
  await t.rejects(run({ ...inLittle, only: ['warm-blub'] }), /no case warm-blub, but warm-blob-1, /)
})

t.test('a run that is ended goes no further', { ...(skip && { skip }) }, async t => {
  const begun: string[] = []
  const ended = {
    signal: AbortSignal.abort(new Error('enough')),
    onProgress: (text: string) => begun.push(text),
  }
  await t.rejects(run({ ...inLittle, ...ended }), /enough/)
  t.same(begun, [])
})
