import { setMaxListeners } from 'node:events'
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { explain } from '../../test/stalls/attribute.js'
import { compileWatch } from '../../test/stalls/compile-watch.js'
import { Locator } from '../../test/stalls/locate.js'
import { monotonic } from '../../test/stalls/thread-clock.js'
import type { Attack, Figure } from './attack.js'
import { ATTACKS } from './attacks.js'
import type { AttackReport } from './report.js'
import { Stage } from './stage.js'

export interface RunOptions {
  /** Everything in little, for a second: it shows that everything works, and no figure means anything. */
  readonly quick: boolean
  /** How long each attack may go on, in place of its own time. */
  readonly seconds?: number | undefined
  /** Names of attacks; empty: all. */
  readonly only: readonly string[]
  /** Is given what was found of each attack when it has ended. */
  readonly onAttack: (report: AttackReport) => void
  /** Ends the run when it aborts; everything is put away all the same. */
  readonly signal: AbortSignal
}

/** How long an attack may take to notice that it is over, in milliseconds. */
const GRACE_MS = 3_000
/** How long the bystander goes on alone afterwards. */
const AFTERMATH_MS = 1_000

/** Runs the attacks one after the other, each on a mirror of its own. */
export async function run({
  quick,
  seconds = quick ? 1 : undefined,
  only,
  onAttack,
  signal,
}: RunOptions): Promise<AttackReport[]> {
  if (process.platform !== 'linux')
    throw new Error('The attacks come from other addresses of the loopback and need Linux')
  const unknown = only.find(name => !ATTACKS.some(each => each.name === name))
  if (unknown !== undefined)
    throw new Error(`There is no attack ${unknown}, but ${ATTACKS.map(({ name }) => name).join(', ')}`)
  const directory = await mkdtemp(join(tmpdir(), 'mirror-attacks-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  // Should this process fail where nothing else is run any more.
  process.once('exit', remove)
  try {
    const watch = await compileWatch(directory)
    const reports: AttackReport[] = []
    for (const attack of ATTACKS.filter(({ name }) => only.length === 0 || only.includes(name))) {
      signal.throwIfAborted()
      const own = join(directory, attack.name)
      await mkdir(own)
      const report = await runAttack(attack, { directory: own, watch, quick, seconds, signal })
      rmSync(own, { recursive: true, force: true, maxRetries: 5 })
      reports.push(report)
      onAttack(report)
    }
    return reports
  } finally {
    process.off('exit', remove)
    remove()
  }
}

async function runAttack(
  attack: Attack,
  {
    directory,
    watch,
    quick,
    seconds = attack.seconds,
    signal,
  }: {
    readonly directory: string
    readonly watch: string
    readonly quick: boolean
    readonly seconds: number | undefined
    readonly signal: AbortSignal
  },
): Promise<AttackReport> {
  const stage = await Stage.start({ directory, watch, quick, settings: attack.settings })
  let isClosed = false
  try {
    const pulled = await stage.image()
    const attempt = await attack.prepare(stage)
    const ending = new AbortController()
    const over = ending.signal
    const end = (): void => ending.abort()
    const timer = setTimeout(end, seconds * 1000)
    signal.addEventListener('abort', end, { once: true })
    // Hundreds of requests end with it.
    setMaxListeners(0, over)
    const begun = monotonic()
    stage.bystander.begin(pulled)
    const figures = await untilOver(attempt(over), over)
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
    await sleep(AFTERMATH_MS)
    const seen = await stage.bystander.end()
    const watched = await stage.mirror.watched().catch(() => undefined)
    isClosed = true
    const endedItself = await stage.close()
    const { name, title } = attack
    const stalls = watched
      ? explain(watched, new Locator(process.cwd())).filter(({ from }) => from >= begun)
      : []
    const loopDelay = watched?.loopDelay
    return { name, title, seen, figures, stalls, loopDelay, endedItself }
  } finally {
    if (!isClosed) await stage.close()
  }
}

/** What the attack found, or that it did not end a while after it was over. */
async function untilOver(attempt: Promise<readonly Figure[]>, over: AbortSignal): Promise<readonly Figure[]> {
  const late = new Promise<readonly Figure[]>(resolve => {
    const figures = [{ name: 'attacks that did not end in time', value: 1, unit: '', atMost: 0 }]
    const wait = (): NodeJS.Timeout => setTimeout(() => resolve(figures), GRACE_MS)
    if (over.aborted) wait()
    else over.addEventListener('abort', wait, { once: true })
  })
  return Promise.race([attempt, late])
}
