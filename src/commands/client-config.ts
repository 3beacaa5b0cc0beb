import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { ANONYMOUS, createPolicy } from '../access/policy.js'
import { userNameProblem } from '../access/users.js'
import { authorityIn } from '../client-config/authority.js'
import type { ClientSetup, MirrorForClients, RegistryName } from '../client-config/client.js'
import { CLIENTS } from '../client-config/clients.js'
import { modeOf, writeClientFiles, type WrittenFile } from '../client-config/write-files.js'
import { origin } from '../config/fields.js'
import type { Flags } from '../config/flags.js'
import { loadConfig } from '../config/load.js'
import type { Config } from '../config/schema.js'
import { suggestion } from '../config/suggestion.js'
import { OciError } from '../oci/error.js'
import { createUpstreamTable } from '../upstream/upstream-table.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

export interface ClientConfigFlags extends Flags {
  readonly url?: string
  readonly user?: string
  /** Where to write the files, instead of printing them. */
  readonly directory?: string
  readonly force?: boolean
  readonly json?: boolean
}

/** What stands where the password, or the user's name, was not given. */
const PLACEHOLDER = { password: 'PASSWORD', user: 'USER' } as const

/** Prints, or writes, the files that a client needs for this mirror. Throws a CommandError or a ConfigError. */
export async function printClientConfig(
  name: string,
  flags: ClientConfigFlags,
  surroundings: Surroundings,
): Promise<void> {
  const names = [...CLIENTS.keys()]
  const client = CLIENTS.get(name)
  if (!client)
    throw usage(
      `unknown client ${JSON.stringify(name)}${suggestion(name, names)}; expected one of ${names.join(', ')}`,
    )
  const { env, stdout } = surroundings
  const { config } = await loadConfig({ env, flags, withoutUsers: true })
  const url = urlOf(flags, config)
  const registries = registryNames(config)
  refuseNarrowName(url, registries)
  const user = userOf(flags, config)
  const password = await passwordOf(surroundings)
  const setup = client({
    url,
    user: user ?? PLACEHOLDER.user,
    password: password ?? PLACEHOLDER.password,
    hasUsers: config.users.htpasswd !== undefined || config.users.plain.length > 0,
    registries,
    authorityFor: await authorities(config, url),
  })
  const notes = [...placeholderNotes(name, user, password), ...setup.notes]
  const written =
    flags.directory === undefined
      ? undefined
      : await writeClientFiles(flags.directory, setup.files, flags.force ?? false)
  stdout.write(flags.json ? asJson({ ...setup, notes }) : asText({ ...setup, notes }, written))
}

/** `--url`, else `publicUrl`, else where the mirror listens, if that is one address. */
function urlOf({ url }: ClientConfigFlags, { publicUrl, listen: [first], tls }: Config): string {
  if (url !== undefined) {
    const parsed = origin.safeParse(url)
    if (parsed.success) return parsed.data
    throw usage(`--url: found ${JSON.stringify(url)}, expected ${parsed.error.issues[0]?.message ?? 'a URL'}`)
  }
  if (publicUrl !== undefined) return publicUrl
  if (!first || ['0.0.0.0', '::'].includes(first.host) || first.port === 0)
    throw usage(
      'where clients find the mirror is not known: give --url, such as --url https://mirror.internal, or set publicUrl',
    )
  const host = first.host.includes(':') ? `[${first.host}]` : first.host
  return new URL(`${tls.length > 0 ? 'https' : 'http'}://${host}:${first.port}`).origin
}

/** Under a name that means one registry, no image name can mean another one. */
function refuseNarrowName(url: string, registries: readonly RegistryName[]): void {
  const { hostname } = new URL(url)
  const narrow = registries.find(({ name }) => name.replace(/:\d+$/, '') === hostname)
  if (narrow)
    throw usage(
      `${hostname} means ${narrow.upstream} alone; expected a name of the mirror that stands for no registry: --url https://mirror.internal`,
    )
}

function userOf({ user }: ClientConfigFlags, { users }: Config): string | undefined {
  if (user === undefined) return users.plain[0]?.name
  const problem = userNameProblem(user)
  if (problem !== undefined) throw usage(`--user: ${problem}`)
  return user
}

async function passwordOf({ stdin }: Surroundings): Promise<string | undefined> {
  if (stdin.isTTY) return undefined
  const password = (await text(stdin)).replace(/\r?\n$/, '')
  if (/[\r\n]/.test(password)) throw usage('standard input has several lines; expected one password')
  return password === '' ? undefined : password
}

/** Every name that a client may use for a registry, with the upstream it means. */
function registryNames({ upstreams, policy }: Config): RegistryName[] {
  const table = createUpstreamTable(upstreams.map(settings => ({ name: settings.name, settings })))
  // Where they may come from does not matter here.
  const open = createPolicy(policy?.map(grant => ({ ...grant, addresses: undefined })))
  return upstreams.flatMap(({ name: upstream, host, serves, default: isDefault }) => {
    const isOpen = open.allows({
      principal: ANONYMOUS,
      address: undefined,
      upstream,
      repository: undefined,
      action: 'pull',
    })
    const owner = table.select({ ns: host })
    const hosts = !(owner instanceof OciError) && owner.upstream.name === upstream ? [host] : []
    return [
      ...hosts.map(name => ({ name, upstream, isHost: true, isDefault, isOpen })),
      ...serves.map(name => ({ name, upstream, isHost: false, isDefault, isOpen })),
    ]
  })
}

/** What to trust is read from the mirror's own certificates, where it serves the URL with them itself. */
async function authorities({ tls }: Config, url: string): Promise<MirrorForClients['authorityFor']> {
  if (url.startsWith('http:')) return () => undefined
  // A certificate that only the mirror itself can read leaves the authority unknown, and the files say so.
  const chains = await Promise.all(
    tls.map(({ certificate }) => readFile(certificate, 'utf8').catch(() => '')),
  )
  return hostName => authorityIn(chains, hostName)
}

function placeholderNotes(client: string, user: string | undefined, password: string | undefined): string[] {
  return [
    ...(user === undefined
      ? [`${PLACEHOLDER.user} is a placeholder: no user was named. Give --user NAME.`]
      : []),
    ...(password === undefined
      ? [
          `${PLACEHOLDER.password} is a placeholder: no password was given. What is encoded, after auth or Basic, is ${user ?? PLACEHOLDER.user}:${PLACEHOLDER.password}. Give the right one on standard input: printf %s "$PASSWORD" | ecr-mirror client-config ${client} …`,
        ]
      : []),
  ]
}

function asJson({ files, notes, test }: ClientSetup): string {
  const told = files.map(file => ({ path: file.path, mode: octal(modeOf(file)), content: file.content }))
  return `${JSON.stringify({ files: told, notes, test }, undefined, 2)}\n`
}

function asText({ files, notes, test }: ClientSetup, written: readonly WrittenFile[] | undefined): string {
  const body = written
    ? written.map(({ place, mode }) => `${octal(mode)} ${place}\n`).join('')
    : files.map(({ path, content }) => `# ==> ${path}\n${content}`).join('\n')
  return `${notes.map(note => `# ${note}\n`).join('')}\n${body}\n# To test: ${test.join('\n#      or: ')}\n`
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

function usage(message: string): CommandError {
  return new CommandError(message, EXIT.usage)
}
