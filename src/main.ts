#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'

// What streams through dies young; a young generation that grew would only keep more of it waiting. It grows while
// modules are loaded, so they are loaded after this.
setFlagsFromString('--semi-space-growth-factor=1')
const { run } = await import('./commands/run.js')

// The settings may have secrets in them, which child processes and reports of a crash would get to see. What AWS's own
// variables say, the SDK reads there.
const env = { ...process.env }
for (const name of Object.keys(env))
  if (name.startsWith('ECR_MIRROR_')) Reflect.deleteProperty(process.env, name)

const exitCode = await run(
  process.argv.slice(2),
  {
    env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    onHangup: listener => void process.on('SIGHUP', listener),
    onInterrupt: listener => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, listener)
    },
  },
  async (config, deps) => (await import('./app.js')).createApp(config, { ...deps, node: process.version }),
)
if (exitCode !== undefined) process.exit(exitCode)
