import { spawn } from 'node:child_process'
import { execPath } from 'node:process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { needs } from '../clients/support/required-packages.js'
import { runClient, succeed } from '../clients/support/run-client.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const demo = `${root}dist/demo/test/demo/demo.js`

t.before(() => succeed(execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}test/demo`]))

t.test('--once pulls the image through the mirror, proves what it says and ends with 0', async t => {
  const { code, stdout, output } = await runClient(execPath, [demo, '--once'], {
    // None of this may reach the demonstration.
    env: { ECR_MIRROR_LISTEN: 'nonsense', AWS_PROFILE: 'production', HTTPS_PROXY: 'http://192.0.2.1:1' },
  })
  t.equal(code, 0, output)
  t.match(stdout, /^ {2}config {3}sha256:[0-9a-f]{12} +\d+ B ✓$/m)
  for (const layer of [1, 2, 3])
    t.match(stdout, new RegExp(`^ {2}layer ${layer} {2}sha256:[0-9a-f]{12} +[\\d.]+ MiB ✓$`, 'm'))
  t.match(stdout, '✓ 4 blobs and the manifest are whole')
  t.match(stdout, 'one GetAuthorizationToken for the whole pull')
  t.match(stdout, 'that password never left the mirror')
  t.notMatch(stdout, '\u001b', 'no terminal, no control codes')
})

t.test('what is printed for each client names the mirror that runs, and a signal ends it with 0', async t => {
  const running = await startDemo(t)
  const host = hostIn(running.output())
  for (const command of [
    `docker login -u demo -p demo ${host}`,
    `docker push ${host}/team/hello:2.0`,
    `podman pull --tls-verify=false ${host}/team/hello:1.0`,
    `skopeo copy --src-tls-verify=false docker://${host}/team/hello:1.0 dir:hello`,
  ])
    t.match(running.output(), `\n  ${command}\n`)

  t.equal((await fetch(`http://${host}/v2/`)).status, 401, 'it asks for a login while it stays up')
  t.same(await running.end(), [0, null])
})

t.test('the printed skopeo commands log in, pull, push and list', needs('skopeo'), async t => {
  const running = await startDemo(t)
  const cwd = t.testdir({})
  const commands = running.output().match(/^ {2}skopeo .*$/gm) ?? []
  t.equal(commands.length, 4)
  let printed = ''
  for (const line of commands) {
    const [command = '', ...args] = line.trim().split(' ')
    printed = await succeed(command, args, { cwd, env: { REGISTRY_AUTH_FILE: `${cwd}/auth.json` } })
  }
  const { Tags } = JSON.parse(printed) as { Tags: string[] }
  t.same(Tags, ['1.0', '2.0'], 'what was pushed is listed')
  t.same(await running.end(), [0, null])
})

interface Running {
  output(): string
  /** Sends SIGINT, as Ctrl-C does; gives exit code and signal. */
  end(): Promise<[number | null, NodeJS.Signals | null]>
}

/** Resolves as soon as the demonstration waits for Ctrl-C. */
async function startDemo(t: { teardown(end: () => unknown): void }): Promise<Running> {
  const child = spawn(execPath, [demo], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = new Promise<[number | null, NodeJS.Signals | null]>(resolve =>
    child.once('exit', (code, signal) => resolve([code, signal])),
  )
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('Ctrl-C')) resolve()
    })
    void ended.then(how => reject(new Error(`The demonstration ended with ${String(how)}:\n${output}`)))
  })
  return {
    output: () => output,
    end: () => {
      child.kill('SIGINT')
      return ended
    },
  }
}

function hostIn(output: string): string {
  return /mirror +http:\/\/(127\.0\.0\.1:\d+)/.exec(output)?.[1] ?? ''
}
