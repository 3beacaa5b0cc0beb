#!/usr/bin/env node
import { createApp } from './app.js'
import { run } from './commands/run.js'

const exitCode = await run(
  process.argv.slice(2),
  {
    env: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    onHangup: listener => void process.on('SIGHUP', listener),
  },
  createApp,
)
if (exitCode !== undefined) process.exit(exitCode)
