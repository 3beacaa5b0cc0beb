import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'

/** A proxy in front of a mirror, as people put one there. */
export interface Front {
  readonly url: string
  /** Sends bytes on a connection of their own and waits for the first of what comes back, or the end. */
  send(bytes: string): Promise<void>
  /** What it has taken for requests so far, as `GET /v2/`. */
  passed(): Promise<string[]>
}

/** How long, in milliseconds, an attack may keep the proxy waiting. */
const PATIENCE = 300

export async function startNginx(t: Test, mirror: string): Promise<Front> {
  const port = await freePort()
  const directory = t.testdir({
    'nginx.conf': `
      daemon off; master_process off; pid nginx.pid; error_log /dev/null; worker_processes 1;
      events { worker_connections 256; }
      http {
        log_format what '$request_method $request_uri';
        access_log passed.log what;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path a; uwsgi_temp_path b; scgi_temp_path c;
        upstream mirror { server ${new URL(mirror).host}; keepalive 4; }
        server {
          listen 127.0.0.1:${port};
          location / {
            proxy_pass http://mirror; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_request_buffering off; proxy_buffering off;
          }
        }
      }`,
  })
  return start(t, port, 'nginx', ['-p', directory, '-c', `${directory}/nginx.conf`, '-e', '/dev/null'], () =>
    readFileSync(`${directory}/passed.log`, 'latin1'),
  )
}

export async function startHaproxy(t: Test, mirror: string): Promise<Front> {
  const port = await freePort()
  const directory = t.testdir({
    'haproxy.cfg': `
global
  log stdout format raw local0
defaults
  mode http
  log global
  log-format "%HM %HPO%HQ"
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend front
  bind 127.0.0.1:${port}
  default_backend mirror
backend mirror
  server mirror ${new URL(mirror).host}
`,
  })
  return start(t, port, 'haproxy', ['-db', '-f', `${directory}/haproxy.cfg`])
}

async function start(
  t: Test,
  port: number,
  program: string,
  args: readonly string[],
  log?: () => string,
): Promise<Front> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; !(await listens(port)); tries++) {
    if (tries === 500 || child.exitCode !== null) throw new Error(`${program} does not listen`)
    await pause(20)
  }
  return {
    url,
    send: bytes =>
      new Promise(resolve => {
        const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
        const patience = setTimeout(() => socket.destroy(), PATIENCE)
        socket.once('data', () => socket.end())
        socket.on('error', () => undefined)
        socket.once('close', () => {
          clearTimeout(patience)
          resolve()
        })
      }),
    async passed() {
      // A line is written when an answer has ended, which the last client may know sooner.
      await pause(200)
      return (log?.() ?? said).split('\n').filter(line => line !== '')
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

function listens(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
