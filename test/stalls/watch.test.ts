import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { askWatch } from './ask-watch.js'
import { explain, type ExplainedStall } from './attribute.js'
import { compileWatch } from './compile-watch.js'
import { Locator } from './locate.js'
import { REPORT_FILE, REPORT_SOCKET, type WatchReport } from './report.js'

const STUCK = `
  import { createServer } from 'node:http'
  const until = async (end) => { while (Date.now() < end) await undefined }
  createServer(() => void neverYields()).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
  async function neverYields() { await until(Infinity) }
`
const BLOCKS = `
  import { spawnSync } from 'node:child_process'
  function blocks() { for (const end = Date.now() + 300; Date.now() < end;); }
  setTimeout(blocks, 50)
  setTimeout(() => process.exit(spawnSync(process.execPath, [...process.execArgv, '-e', '0'], { stdio: 'inherit' }).status), 500)
`

interface Watched {
  readonly child: ChildProcess
  readonly file: string
  readonly socket: string
  readonly stalls: (report: WatchReport) => ExplainedStall[]
}

async function startWatched(t: Test, code: string, report: 'file' | 'socket'): Promise<Watched> {
  const directory = await mkdtemp(join(tmpdir(), 'stalls-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const [script, file, socket] = ['script.mjs', 'report.json', 'watch'].map(name =>
    join(directory, name),
  ) as [string, string, string]
  await writeFile(script, code)
  const watch = await compileWatch(directory)
  const child = spawn(process.execPath, ['--import', watch, script], {
    env: { ...process.env, ...(report === 'file' ? { [REPORT_FILE]: file } : { [REPORT_SOCKET]: socket }) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, file, socket, stalls: found => explain(found, new Locator(directory)) }
}

t.test(
  'a process that blocks its loop for a while reports it when it exits, and its children report nothing',
  async t => {
    const { child, file, stalls } = await startWatched(t, BLOCKS, 'file')
    t.same(await once(child, 'exit'), [0, null])
    const report = JSON.parse(await readFile(file, 'utf8')) as WatchReport
    const blocked = stalls(report).find(({ cause }) => cause.includes('blocks'))
    t.match(blocked, { owner: 'test', cause: /^script\.mjs:3 blocks/ })
    t.ok(report.loopDelay >= 250, 'and monitorEventLoopDelay has seen it')
  },
)

t.test('a process whose loop never turns again still reports, with the request that did it', async t => {
  const { child, socket, stalls } = await startWatched(t, STUCK, 'socket')
  const [port] = (await once(child.stdout!, 'data')) as [Buffer]
  const request = fetch(`http://127.0.0.1:${String(port).trim()}/v2/?a=1`, {
    signal: AbortSignal.timeout(500),
  })
  await t.rejects(request, 'nobody is answered')
  const [worst] = stalls(await askWatch(socket))
  t.match(worst, { owner: 'test', cause: /script\.mjs:\d until/, requests: ['GET /v2/?a=1'] })
  child.kill('SIGKILL')
  t.same(await once(child, 'exit'), [null, 'SIGKILL'])
})
