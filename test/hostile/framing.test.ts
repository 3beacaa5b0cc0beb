import t from 'tap'
import { attacks, countOf } from './support/attacks.js'
import { judge } from './support/canonical.js'
import { MUTANTS } from './support/mutants.js'
import { hostileMirror, VALID } from './support/valid-requests.js'

t.setTimeout(3_600_000)

t.test('requests that nobody changed are all answered, so that refusals mean something', async t => {
  const tally = await judge(await hostileMirror(t), VALID)
  t.match(tally, { attacks: VALID.length })
  console.log(tally)
})
const N = Number(process.env.N ?? 0)
if (N)
  t.test('mut', async t => {
    const m = await hostileMirror(t)
    function* some() {
      let n = 0
      for (const a of attacks('H1', [], MUTANTS, N / countOf('H1'))) {
        yield a
        if (++n % 2000 === 0) console.log(n, (process.memoryUsage().heapUsed / 1e6) | 0, Date.now() - t0)
      }
    }
    const t0 = Date.now()
    const tally = await judge(m, some())
    console.log(tally, Date.now() - t0, process.cpuUsage())
    t.ok(true)
  })
