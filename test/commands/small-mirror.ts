import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { run } from '../../src/commands/run.js'

// The commands as a process of their own, with a server in the place of the mirror that is small enough to be told
// what to do: it holds every request for /hold until it is cut, refuses users files that say so, and under one
// name never comes to listen.
const NEVER_STARTS = 'http://never-starts'

const exitCode = await run(
  process.argv.slice(2),
  {
    env: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    onHangup: listener => void process.on('SIGHUP', listener),
    onInterrupt: listener => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, listener)
    },
  },
  async (config, { log }) => {
    if (config.publicUrl === NEVER_STARTS) {
      log.info('starting')
      await new Promise(resolve => setTimeout(resolve, 600_000))
    }
    const server = createServer((request, response) => {
      if (request.url === '/throw')
        setImmediate(() => {
          throw new Error('thrown on purpose')
        })
      if (request.url === '/hold') response.writeHead(200).flushHeaders()
      else response.writeHead(request.url === '/livez' ? 200 : 404).end()
    })
    const { host, port } = config.listen[0]!
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
    const address = server.address()
    return {
      urls: [`http://${host}:${typeof address === 'object' && address ? address.port : 0}`],
      reload: async ({ users }) => {
        if (users.htpasswd && (await readFile(users.htpasswd, 'utf8')) === 'bad')
          throw new Error('bad users file')
      },
      retire: () => log.info('retired'),
      reloaded: () => undefined,
      close: signal =>
        new Promise(resolve => {
          server.close(() => resolve())
          if (signal?.aborted) server.closeAllConnections()
          else signal?.addEventListener('abort', () => server.closeAllConnections())
        }),
    }
  },
)
if (exitCode !== undefined) process.exit(exitCode)
