/**
 * Changes the guarded modules in every small way and sees whether their unit tests notice: `npm run test:mutation`, or
 * with `-- gate digest` only those. Fails when fewer than `BAR` percent of a module's changes are noticed.
 */
import { Stryker } from '@stryker-mutator/core'
import { chosen } from './modules.js'

const BAR = 85
/** What a change that nobody noticed is called by Stryker. */
const NOTICED = ['Killed', 'Timeout']
const UNNOTICED = ['Survived', 'NoCoverage']

const modules = chosen(process.argv.slice(2))
const compiled = (file: string): string => file.replace(/\.ts$/, '.js')

const mutants = await new Stryker({
  testRunner: 'tap',
  plugins: ['@stryker-mutator/tap-runner'],
  mutate: modules.map(({ source }) => source),
  // Compiled once, so that no test process has to.
  buildCommand:
    'esbuild "src/**/*.ts" "test/**/*.ts" --outdir=. --outbase=. --format=esm --target=node20 --log-level=warning',
  tap: {
    testFiles: modules.map(({ test }) => compiled(test)),
    nodeArgs: ['-r', '{{hookFile}}', '{{testFile}}'],
    forceBail: true,
  },
  coverageAnalysis: 'perTest',
  concurrency: 2,
  timeoutMS: 20_000,
  ignorePatterns: ['/dist', '/.tap', '/docs', '/config'],
  tempDirName: '.tap/mutation',
  reporters: ['clear-text'],
  clearTextReporter: { logTests: false, reportScoreTable: false },
  thresholds: { high: 100, low: BAR, break: null },
  allowEmpty: false,
}).runMutationTest()

let below = 0
console.log(`${'module'.padEnd(34)} mutants  noticed  score`)
for (const { source } of modules) {
  const own = mutants.filter(({ fileName }) => fileName.endsWith(source))
  const noticed = own.filter(({ status }) => NOTICED.includes(status)).length
  const counted = noticed + own.filter(({ status }) => UNNOTICED.includes(status)).length
  const score = (100 * noticed) / counted
  if (!(score >= BAR)) below++
  console.log(
    `${source.padEnd(34)} ${String(counted).padStart(7)} ${String(noticed).padStart(8)} ${score.toFixed(1).padStart(5)}%`,
  )
}
if (below > 0) {
  console.error(`${below} of them below ${BAR} %`)
  process.exitCode = 1
}
