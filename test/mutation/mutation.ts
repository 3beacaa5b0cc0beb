/**
 * Changes the guarded modules in every small way and sees whether each one's unit test notices: `npm run test:mutation`,
 * or with `-- gate digest` only those. Fails when less than `BAR` percent of a module's changes are noticed. Those that
 * were not are printed.
 */
import { Stryker } from '@stryker-mutator/core'
import { chosen, type GuardedModule } from './modules.js'

const BAR = 85

interface Score {
  readonly source: string
  readonly changes: number
  readonly noticed: number
  /** Of those noticed, the ones whose test did not end in time; on a busy machine that may be the machine. */
  readonly timedOut: number
}

async function measure({ source, test }: GuardedModule): Promise<Score> {
  const mutants = await new Stryker({
    testRunner: 'tap',
    plugins: ['@stryker-mutator/tap-runner'],
    mutate: [source],
    // Compiled once, so that no test process has to.
    buildCommand:
      'esbuild src/**/*.ts test/**/*.ts --outdir=. --outbase=. --format=esm --target=node20 --log-level=error',
    tap: {
      testFiles: [test.replace(/\.ts$/, '.js')],
      nodeArgs: ['-r', '{{hookFile}}', '{{testFile}}'],
      forceBail: true,
    },
    coverageAnalysis: 'perTest',
    concurrency: 2,
    timeoutMS: 20_000,
    ignorePatterns: ['/dist', '/.tap', '/docs', '/config', '/bench'],
    tempDirName: '.tap/mutation',
    cleanTempDir: 'always',
    allowConsoleColors: false,
    reporters: ['clear-text'],
    clearTextReporter: { allowColor: false, logTests: false, reportTests: false, reportScoreTable: false },
  }).runMutationTest()
  const count = (...statuses: string[]): number =>
    mutants.filter(({ status }) => statuses.includes(status)).length
  const noticed = count('Killed', 'Timeout')
  return {
    source,
    changes: noticed + count('Survived', 'NoCoverage'),
    noticed,
    timedOut: count('Timeout'),
  }
}

const scores: Score[] = []
for (const module of chosen(process.argv.slice(2))) scores.push(await measure(module))

const row = (...[source, ...figures]: string[]): string =>
  [source?.padEnd(32), ...figures.map(figure => figure.padStart(9))].join('')
console.log(row('module', 'changes', 'noticed', 'timed out', 'score'))
for (const { source, changes, noticed, timedOut } of scores) {
  const percent = (100 * noticed) / changes
  console.log(row(source, `${changes}`, `${noticed}`, `${timedOut}`, `${percent.toFixed(1)} %`))
  if (!(percent >= BAR)) process.exitCode = 1
}
if (process.exitCode === 1) console.error(`Less than ${BAR} % of a module's changes were noticed.`)
