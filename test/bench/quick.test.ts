import t from 'tap'
import { missing } from '../../bench/installed.js'
import { CASES } from '../../bench/cases/cases.js'
import { run } from '../../bench/run.js'
import { SERVERS } from '../../bench/servers/servers.js'
import { tableOf } from '../../bench/table.js'

const { skip } =
  process.platform === 'linux'
    ? { skip: missing({ command: 'openssl', package: 'openssl' }) }
    : { skip: 'Linux only' }

t.test(
  'every case gets the bytes that it asks for from every server that runs here',
  { ...(skip && { skip }) },
  async t => {
    const report = await run({ quick: true, rounds: 1, only: [], onProgress: text => t.comment(text) })
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
  const nothing = { quick: true, rounds: 1, onProgress: () => undefined }
  await t.rejects(run({ ...nothing, only: ['warm-blub'] }), /no case warm-blub, but warm-blob-1, /)
})
