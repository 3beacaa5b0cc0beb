/**
 * `npm run walk`: a newcomer's ways, with the time of each step. `npm run walk -- --tests` adds the way to green tests, which
 * takes as long as they do. It needs what the tests of the clients need.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import t, { type Test } from 'tap'
import { scratch } from '../clients/support/scratch.js'
import { npmEnvironment } from './support/npm-environment.js'
import { openTerminal } from './support/terminal.js'
import { walkTwoAccounts, type OnStep } from './support/two-accounts.js'
import { needsWorld, startWorld } from './support/world.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const { values } = parseArgs({ options: { tests: { type: 'boolean', default: false } } })

t.setTimeout(0)

t.test('fresh clone → demo pull', t => walkFromClone(t, ['npm ci', 'npm run demo -- --once']))

t.test(
  'fresh clone → green tests',
  values.tests ? {} : { skip: 'takes as long as the tests: npm run walk -- --tests' },
  t => walkFromClone(t, ['npm ci', 'npm test']),
)

t.test(
  'two accounts → check → pulls by containerd without renaming',
  needsWorld('containerd', 'ctr'),
  async t => {
    const world = await startWorld(t)
    await walkTwoAccounts(t, world, timed(t))
  },
)

/** Like somebody whose npm has fetched nothing before. */
async function walkFromClone(t: Test, commands: readonly string[]): Promise<void> {
  const directory = await scratch(t)
  const env = { ...npmEnvironment(), npm_config_cache: join(directory, 'npm-cache') }
  const onStep = timed(t)
  for (const [at, typed] of [
    [directory, `git clone --quiet ${ROOT} ecr-mirror`],
    ...commands.map(command => [join(directory, 'ecr-mirror'), command] as const),
  ] as const) {
    const { code, output } = await openTerminal(t, { directory: at, env, seconds: 3600 }).run(typed)
    t.equal(code, 0, typed)
    onStep(typed, output)
  }
}

/** Tells of each step how long it has taken. */
function timed(t: Test): OnStep {
  const began = performance.now()
  let before = began
  return (typed, printed) => {
    const now = performance.now()
    const seconds = (since: number): string => `${((now - since) / 1000).toFixed(1)} s`
    t.comment(`${seconds(before)}, ${seconds(began)} in all: ${typed}\n${printed}`)
    before = now
  }
}
