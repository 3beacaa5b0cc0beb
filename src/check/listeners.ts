import { createServer, isIPv6 } from 'node:net'
import { Agent } from 'undici'
import { z } from 'zod'
import type { ListenAddress } from '../config/fields.js'
import type { Config } from '../config/schema.js'
import { codeOf } from '../store/file-system.js'
import { readBody } from '../upstream/read-body.js'
import { wordsOf } from './failure.js'
import { isOwnLogin } from './own-login.js'
import { failed, ok, type Finding } from './finding.js'

/** How long a port may take to say what it is, in milliseconds. */
const PATIENCE = 3000

/** What `/livez` answers. */
const Live = z.object({ live: z.literal(true) })

/**
 * Whether the ports can be had, or are those of a mirror that runs. A port that somebody answers on is left alone, and
 * one that is free is taken for a moment.
 */
export async function checkListeners(config: Config, signal: AbortSignal): Promise<Finding[]> {
  const { listen, operations, tls } = config
  const scheme = tls.length > 0 ? 'https' : 'http'
  const isRunning = operations.listen.port === 0 ? Promise.resolve(false) : isLive(operations.listen, signal)
  const data = listen.map(address =>
    checkPort('listen', address, () => isMirror(address, scheme, isRunning, signal)),
  )
  return Promise.all([...data, checkPort('operations', operations.listen, () => isRunning)])
}

async function checkPort(
  what: string,
  address: ListenAddress,
  isOurs: () => Promise<boolean>,
): Promise<Finding> {
  const place = textOf(address)
  const name = `${what} ${place}`
  if (address.port === 0) return ok(name, 'a free port is taken at each start')
  if (await isOurs()) return ok(name, 'a running mirror answers there')
  try {
    await bindAndClose(address)
    return ok(name, 'free')
  } catch (error) {
    const [detail, advice] = WHY[codeOf(error)] ?? [
      'cannot be listened on',
      'look at listen and operations.listen',
    ]
    return failed(name, `${detail}: ${wordsOf(error)}`, advice)
  }
}

const WHY: Readonly<Record<string, readonly [detail: string, advice: string]>> = {
  EADDRINUSE: ['somebody else has it', 'find who (ss -ltnp) and end that, or choose another port'],
  EACCES: [
    'this user may not listen there',
    'choose a port from 1024 on, or give CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities)',
  ],
  EADDRNOTAVAIL: [
    'this machine has no such address',
    'use 0.0.0.0 or [::] for all of its addresses, or one that it has (ip addr)',
  ],
  ENOTFOUND: ['its host does not resolve', 'use an address, such as 0.0.0.0'],
}

function bindAndClose({ host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => void socket.destroy())
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()))
  })
}

/**
 * Every answer of a mirror below `/v2/` says which protocol this is, as do those of other registries. It is a mirror's
 * when its login says so, or `isRunning`.
 */
async function isMirror(
  address: ListenAddress,
  scheme: string,
  isRunning: Promise<boolean>,
  signal: AbortSignal,
): Promise<boolean> {
  const answer = await ask(`${scheme}://${reachable(address)}`, '/v2/', signal)
  if (answer?.headers['docker-distribution-api-version'] === undefined) return false
  return isOwnLogin(answer.headers) || isRunning
}

async function isLive(address: ListenAddress, signal: AbortSignal): Promise<boolean> {
  const answer = await ask(`http://${reachable(address)}`, '/livez', signal)
  try {
    return answer?.status === 200 && Live.safeParse(JSON.parse(answer.text)).success
  } catch {
    return false
  }
}

interface PortAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/** Undefined when nothing answers that speaks HTTP. */
async function ask(origin: string, path: string, signal: AbortSignal): Promise<PortAnswer | undefined> {
  // It is this machine's own port, and the certificate is looked at elsewhere.
  const agent = new Agent({
    connect: { timeout: PATIENCE, rejectUnauthorized: false },
    headersTimeout: PATIENCE,
  })
  try {
    const { statusCode, headers, body } = await agent.request({ origin, path, method: 'GET', signal })
    const text = (await readBody(body, 4096))?.toString('utf8') ?? ''
    return { status: statusCode, headers, text }
  } catch {
    return undefined
  } finally {
    await agent.destroy()
  }
}

function reachable({ host, port }: ListenAddress): string {
  // What listens on every address is asked on the loopback.
  const asked = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return textOf({ host: asked, port })
}

function textOf({ host, port }: ListenAddress): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}
