import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hash } from '@node-rs/bcrypt'
import type { Test } from 'tap'
import { startDaemon } from './daemon.js'
import { scratch } from './scratch.js'

/** A request as the registry saw it. */
export interface SeenRequest {
  readonly method: string
  readonly uri: string
  readonly host: string
  readonly agent: string
}

/** CNCF distribution with one user, on loopback. */
export interface Distribution {
  readonly url: string
  /** The one password from now on; there is none before the first. */
  setPassword(user: string, password: string): Promise<void>
  digestOf(repository: string, tag: string): Promise<string | undefined>
  requests(): SeenRequest[]
}

const LISTENING = /"msg":"listening on (127\.0\.0\.1:\d+)"/
const MANIFESTS = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

export async function startDistribution(t: Test): Promise<Distribution> {
  const directory = await scratch(t)
  const [settings, htpasswd] = [join(directory, 'registry.json'), join(directory, 'htpasswd')]
  await writeFile(htpasswd, '')
  // YAML has JSON in it.
  await writeFile(
    settings,
    JSON.stringify({
      version: '0.1',
      log: { formatter: 'json' },
      storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
      http: { addr: '127.0.0.1:0' },
      auth: { htpasswd: { realm: 'far side', path: htpasswd } },
    }),
  )
  const daemon = await startDaemon(t, ['docker-registry', 'serve', settings], {
    ready: output => LISTENING.test(output),
  })
  const url = `http://${LISTENING.exec(daemon.output())?.[1] ?? ''}`
  let authorization = ''
  return {
    url,
    async setPassword(user, password) {
      await writeFile(htpasswd, `${user}:${await hash(password, 4)}\n`)
      authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    },
    async digestOf(repository, tag) {
      const answer = await fetch(`${url}/v2/${repository}/manifests/${tag}`, {
        method: 'HEAD',
        headers: { authorization, accept: MANIFESTS.join(', '), 'user-agent': TESTS_OWN },
      })
      return answer.headers.get('docker-content-digest') ?? undefined
    },
    requests: () => seenRequests(daemon.output()),
  }
}

/** Not counted among the requests. */
const TESTS_OWN = 'the-test-itself'

function seenRequests(log: string): SeenRequest[] {
  return log.split('\n').flatMap(line => {
    if (!line.startsWith('{') || !line.endsWith('}')) return []
    const entry = JSON.parse(line) as Record<string, unknown>
    if (entry['msg'] !== 'response completed' && entry['msg'] !== 'response completed with error') return []
    const field = (name: string): string => String(entry[`http.request.${name}`])
    const seen = {
      method: field('method'),
      uri: field('uri'),
      host: field('host'),
      agent: field('useragent'),
    }
    return seen.agent === TESTS_OWN ? [] : [seen]
  })
}
