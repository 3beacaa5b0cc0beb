import { parseArgs } from 'node:util'
import { clientCommands } from './client-commands.js'
import { createProgress } from './progress.js'
import { pull } from './pull.js'
import { REPOSITORY, startStage, TAG, USER, type Stage } from './stage.js'
import { witness } from './witness.js'

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
const { stdout } = process
const say = (text: string): void => void stdout.write(`${text}\n`)

const stop = new AbortController()
const interrupted = (): void => stop.abort()
process.once('SIGINT', interrupted).once('SIGTERM', interrupted)

const stage = await startStage(stdout)
try {
  await show(stage)
  if (!values.once && !stop.signal.aborted) {
    say('\nThe mirror stays up and logs its requests here; Ctrl-C ends it.\n')
    stage.quicken()
    await new Promise(resolve => stop.signal.addEventListener('abort', resolve, { once: true }))
  }
} catch (error) {
  if (!stop.signal.aborted) throw error
} finally {
  await stage.close()
}

async function show({ ecr, url, operationsUrl }: Stage): Promise<void> {
  const { host } = new URL(url)
  say(`\
A mirror and a stand-in for Amazon ECR, both on this machine. No AWS account, no network.

  mirror      ${url}   user ${USER.name}, password ${USER.password}
  upstream    ${ecr.host}   played at ${ecr.url}
  operations  ${operationsUrl}/readyz

Pulling ${host}/${REPOSITORY}:${TAG} as ${USER.name}:
`)
  const progress = createProgress(stdout)
  const pulled = await pull({
    url,
    repository: REPOSITORY,
    tag: TAG,
    user: USER,
    signal: stop.signal,
    progress,
  })
  say(`\n✓ ${pulled.blobs} blobs and the manifest are whole: every digest is right. Image ${pulled.digest}\n`)
  for (const line of witness(ecr, pulled)) say(`✓ ${line}`)
  say(`\nTry it:\n\n${clientCommands(host)}`)
}
