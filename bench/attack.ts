/**
 * `npm run attack`: what somebody who pulls a small image notices while the mirror is attacked, and how long the mirror's
 * event loop stands still, with the cause. The mirror (as it is built), the stand-in for ECR and the bystander have a
 * process each; the attacks are those of SECURITY.md's threats, one after the other, each on a mirror of its own that is
 * killed where it does not end. All is on the loopback, from an address for each party, and takes less than 5 minutes.
 *
 *     npm run attack
 *     npm run attack -- --attack S1 --attack S2 --json attacks.json
 *
 * `--seconds 600` gives each attack that long instead of its own time, at most. `--quick` does everything in little and
 * judges nothing.
 *
 * The bars: a median below 100 ms, nothing above 1 s, no failure, and no stall above 200 ms besides what the mirror waited
 * for a CPU. Exits with 1 when one is missed. Run it on a machine that does nothing else: `none` is what it is without any
 * attack.
 */
import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { HEADER, lineOf, missed, notesOf, type AttackReport } from './attacks/report.js'
import { run } from './attacks/run.js'

const { values } = parseArgs({
  options: {
    attack: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    json: { type: 'string' },
  },
})

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.abort(new Error(`Ended by ${signal}`)))

const reports: AttackReport[] = []
/** Said and written attack by attack, so that a run that is ended early was not for nothing. */
function tell(report: AttackReport): void {
  if (reports.length === 0) console.log(`Load of the machine ${loadavg()[0]?.toFixed(1)}.\n\n${HEADER}`)
  reports.push(report)
  console.log(lineOf(report))
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(reports, undefined, 2)}\n`)
}

await run({
  quick: values.quick,
  seconds: values.seconds === undefined ? undefined : Number(values.seconds),
  only: values.attack,
  onAttack: tell,
  signal: interrupted.signal,
})
console.log(`\n${reports.flatMap(report => notesOf(report)).join('\n')}`)
if (!values.quick && reports.some(report => missed(report).length > 0)) process.exitCode = 1
