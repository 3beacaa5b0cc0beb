import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { issue, issueAuthority } from '../support/authority.js'
import { makeCertificate } from '../support/certificate.js'
import { isInstalled } from '../support/installed.js'

/** The entries of `tls`, and for which of them there is a clientCa. */
const SETTINGS = {
  'one, none': { names: ['first'], authorities: [] },
  'one, on it': { names: ['first'], authorities: ['first'] },
  'list, none': { names: ['first', 'later'], authorities: [] },
  'list, on first': { names: ['first', 'later'], authorities: ['first'] },
  'list, on later': { names: ['first', 'later'], authorities: ['later'] },
  'list, on all': { names: ['first', 'later'], authorities: ['first', 'later'] },
} as const satisfies Record<string, { names: readonly Entry[]; authorities: readonly Entry[] }>
type Entry = 'first' | 'later'
type Setting = keyof typeof SETTINGS
const ALL = Object.keys(SETTINGS) as Setting[]

/** Client certificates by who vouches for them. `public` is an authority that Node trusts as a client. */
const CERTIFICATES = ['none', 'first', 'later', 'self', 'public'] as const
type CertificateOf = (typeof CERTIFICATES)[number]

/** Server names by which a client connects; one that sends none gets the first entry. */
const SERVER_NAMES = ['first.test', 'later.test', undefined] as const
type ServerName = (typeof SERVER_NAMES)[number]

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const
type Version = (typeof VERSIONS)[number]

/** The rule: a certificate counts by the authority of the entry for the server name, and by nothing else. */
function expected(setting: Setting, serverName: ServerName, certificate: CertificateOf): string {
  const { names, authorities } = SETTINGS[setting]
  const entry =
    serverName === 'later.test' && (names as readonly Entry[]).includes('later') ? 'later' : 'first'
  return certificate === entry && (authorities as readonly Entry[]).includes(entry)
    ? `200 agent-of-${entry}`
    : '401 undefined'
}

/** Every setting after every other and after itself. */
function allReloads(): Setting[] {
  const walk: Setting[] = []
  ALL.forEach((one, index) => {
    walk.push(one, one)
    for (const other of ALL.slice(index + 1)) walk.push(other, one)
  })
  return walk
}

const options = isInstalled('openssl') ? {} : { skip: 'openssl is not installed here' }
t.setTimeout(300_000)

t.test(
  'who a certificate makes its owner, for each setting, name, session, version and reload',
  options,
  async t => {
    const mirror = await startMirror(t)
    const differences: string[] = []
    let cells = 0
    const check = (title: string, got: string, want: string): void => {
      cells++
      if (got !== want) differences.push(`${title}: ${got}, not ${want}`)
    }
    let before: { setting: Setting; sessions: Sessions; open: OpenConnection[] } | undefined
    for (const setting of allReloads()) {
      await mirror.use(setting)
      const title = `${before?.setting ?? 'start'} > ${setting}`
      for (const { serverName, certificate, client } of before?.open ?? []) {
        // Verified in the handshake, and by an authority that still counts; whom nobody verified then is nobody now.
        const then = expected(before!.setting, serverName, certificate)
        const now = expected(setting, serverName, certificate)
        check(
          `${title}: open, ${serverName}, ${certificate}`,
          await client.ask(),
          then === now ? now : '401 undefined',
        )
        client.end()
      }
      const sessions = await mirror.sessions(setting)
      const wanted = VERSIONS.flatMap(version =>
        SERVER_NAMES.flatMap(serverName =>
          CERTIFICATES.flatMap(certificate => {
            const other = serverName === 'first.test' ? 'later.test' : 'first.test'
            const begun: [string, Buffer | undefined][] = [
              ['full', undefined],
              ['resumed', sessions.get(version, serverName)],
              [`resumed from ${other}`, sessions.get(version, other)],
              ['resumed from before the reload', before?.sessions.get(version, serverName)],
            ]
            return begun.map(([kind, session]) => ({ version, serverName, certificate, kind, session }))
          }),
        ),
      )
      await inTurns(wanted, 8, async ({ version, serverName, certificate, kind, session }) => {
        const client = await mirror.connect(version, serverName, certificate, session)
        check(
          `${title}: ${version}, ${serverName}, ${certificate}, ${kind}`,
          await client.ask(),
          expected(setting, serverName, certificate),
        )
        client.end()
      })
      const open: OpenConnection[] = []
      for (const serverName of SERVER_NAMES)
        for (const certificate of CERTIFICATES) {
          const client = await mirror.connect('TLSv1.3', serverName, certificate)
          await client.ask()
          open.push({ serverName, certificate, client })
        }
      before = { setting, sessions, open }
    }
    before?.open.forEach(({ client }) => client.end())
    t.comment(`${cells} cells, ${differences.length} differences`)
    t.ok(cells > 5_000, 'all of it was tried')
    for (const each of differences.slice(0, 20)) t.comment(each)
    t.equal(differences.length, 0)
  },
)

interface OpenConnection {
  readonly serverName: ServerName
  readonly certificate: CertificateOf
  readonly client: Client
}

/** Sessions by version and the server name that they began with. */
interface Sessions {
  get(version: Version, serverName: ServerName): Buffer | undefined
}

interface Client {
  /** The status of `/v2/`, and who the log says that asked. */
  ask(): Promise<string>
  /** The last session that could be resumed. */
  session(): Buffer | undefined
  end(): void
}

async function inTurns<T>(
  all: readonly T[],
  atOnce: number,
  work: (each: T) => Promise<void>,
): Promise<void> {
  const left = all[Symbol.iterator]()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const each of left) await work(each)
    }),
  )
}

/** A mirror in a process of its own, which trusts one more public authority, as Node does many. */
async function startMirror(t: Test) {
  const directory = t.testdir({})
  const servers = {
    first: makeCertificate(directory, 'first.test'),
    later: makeCertificate(directory, 'later.test'),
  }
  const authorities = {
    first: issueAuthority(directory, 'authority-first'),
    later: issueAuthority(directory, 'authority-later'),
    public: issueAuthority(directory, 'authority-public'),
  }
  const agentOf = (by: keyof typeof authorities): ConnectionOptions => {
    const { cert, keyText } = issue(directory, `agent-of-${by}`, { by: authorities[by] })
    return { cert, key: keyText }
  }
  const self = issue(directory, 'agent-of-self', { subject: '/CN=agent-of-first' })
  const certificates: Record<CertificateOf, ConnectionOptions> = {
    none: {},
    first: agentOf('first'),
    later: agentOf('later'),
    self: { cert: self.cert, key: self.keyText },
    public: agentOf('public'),
  }

  const configFile = `${directory}/mirror.json`
  const write = (setting: Setting): Promise<void> =>
    writeFile(
      configFile,
      JSON.stringify({
        listen: '127.0.0.1:0',
        operations: { listen: '127.0.0.1:0' },
        log: { level: 'info', format: 'json' },
        tls: SETTINGS[setting].names.map(name => ({
          certificate: servers[name].certificate,
          key: servers[name].key,
          ...((SETTINGS[setting].authorities as readonly Entry[]).includes(name) && {
            clientCa: authorities[name].certificate,
          }),
        })),
        policy: [
          {
            principals: [...(SETTINGS[setting].authorities.length > 0 ? ['cert:*'] : []), 'ci'],
            actions: ['pull'],
          },
        ],
        upstreams: [
          {
            name: 'main',
            host: '123456789012.dkr.ecr.us-east-1.amazonaws.com',
            endpoint: 'http://127.0.0.1:9',
            apiEndpoint: 'http://127.0.0.1:9',
          },
        ],
      }),
    )
  await write('one, none')
  const child = spawn(process.execPath, ['--import=tsx', 'src/main.ts', 'serve', '--config', configFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      NODE_EXTRA_CA_CERTS: authorities.public.certificate,
      ECR_MIRROR_USERS: 'ci:password of the matrix',
      AWS_ACCESS_KEY_ID: 'AKIDSTANDIN',
      AWS_SECRET_ACCESS_KEY: 'secret-of-the-stand-in',
    },
  })
  t.teardown(async () => {
    const closed = once(child, 'close')
    child.kill('SIGKILL')
    await closed
  })

  /** Who asked, by request. */
  const users = new Map<string, string | undefined>()
  let [port, reloads] = [0, 0]
  let wake = (): void => undefined
  const failed: string[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const { msg, requestId, user, listen } = JSON.parse(line) as {
        msg: string
        requestId?: string
        user?: string
        listen?: [string]
      }
      if (msg === 'request' && requestId !== undefined) users.set(requestId, user)
      if (msg.startsWith('configuration reloaded')) reloads++
      if (msg.startsWith('configuration not reloaded')) failed.push(line)
      if (listen) port = Number(new URL(listen[0]).port)
    }
    wake()
  })
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) {
      if (child.exitCode !== null || failed.length > 0) throw new Error(`The mirror failed: ${failed[0]}`)
      await new Promise<void>(resolve => {
        const others = wake
        wake = () => {
          others()
          resolve()
        }
      })
      wake = () => undefined
    }
  }
  await until(() => port !== 0)

  async function connectTo(
    version: Version,
    serverName: ServerName,
    certificate: CertificateOf,
    resumed?: Buffer,
  ): Promise<Client> {
    const socket: TLSSocket = connect({
      host: '127.0.0.1',
      port,
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      ...(serverName !== undefined && { servername: serverName }),
      ...certificates[certificate],
      ...(resumed && { session: resumed }),
    })
    let session: Buffer | undefined
    socket.on('session', each => (session = each)).on('error', () => undefined)
    await once(socket, 'secureConnect')
    return {
      async ask() {
        socket.write('GET /v2/ HTTP/1.1\r\nHost: m\r\n\r\n')
        let seen = ''
        for (;;) {
          const [chunk] = (await once(socket, 'data')) as [Buffer]
          seen += chunk.toString('latin1')
          const [, status = '', head = '', body = ''] =
            /^HTTP\/1\.1 (\d+)([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(seen) ?? []
          const length = /content-length: (\d+)/i.exec(head)?.[1]
          if (length === undefined || body.length < Number(length)) continue
          const id = /x-request-id: (\S+)/i.exec(head)?.[1] ?? ''
          if (!users.has(id)) await loggedOf(id)
          return `${status} ${users.get(id)}`
        }
      },
      session: () => session ?? socket.getSession(),
      end: () => socket.destroy(),
    }
  }
  const loggedOf = async (id: string): Promise<void> => {
    while (!users.has(id)) await once(child.stdout, 'data')
  }

  return {
    async use(setting: Setting): Promise<void> {
      await write(setting)
      // The first that ends may have begun before: the mirror also looks at the file by itself. The second has not.
      for (const seen of [reloads, reloads + 1]) {
        child.kill('SIGHUP')
        await until(() => reloads > seen)
      }
    },
    connect: connectTo,
    /** Sessions that were begun with the certificate that counts, where one does. */
    async sessions(setting: Setting): Promise<Sessions> {
      const table = new Map<string, Buffer | undefined>()
      for (const version of VERSIONS)
        for (const serverName of SERVER_NAMES) {
          const right =
            CERTIFICATES.find(each => expected(setting, serverName, each).startsWith('200')) ?? 'none'
          const client = await connectTo(version, serverName, right)
          await client.ask()
          table.set(`${version} ${serverName}`, client.session())
          client.end()
        }
      return { get: (version, serverName) => table.get(`${version} ${serverName}`) }
    },
  }
}
