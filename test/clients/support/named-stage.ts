import { join } from 'node:path'
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { startEcr, type Ecr, type Where } from '../../ecr/ecr.js'
import { reachOf } from '../../ecr/reach.js'
import { startCutLink, type CutLink } from './cut-link.js'
import { writeLayout } from './image-layout.js'
import { startMirrorProcess, USER, type MirrorProcess } from './mirror-process.js'
import { succeed } from './run-client.js'
import { scratch } from './scratch.js'

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))

/** Two registries behind the mirror, and Docker Hub by way of the first one. */
export const ONE: Where = { account: '111111111111', region: 'us-east-1' }
export const OTHER: Where = { account: '222222222222', region: 'eu-west-1' }
export const HOST_OF_ONE = '111111111111.dkr.ecr.us-east-1.amazonaws.com'
export const HOST_OF_OTHER = '222222222222.dkr.ecr.eu-west-1.amazonaws.com'

/** Bytes of the layer that is large enough to be cut in the middle. */
export const LAYER_BYTES = 600_000

/** Images for two platforms under one name in two registries, and the mirror, in front of which a client stands. */
export interface NamedStage {
  /** For the client's own files. */
  readonly directory: string
  readonly ecr: Ecr
  readonly mirror: MirrorProcess
  /** The way to the mirror. */
  readonly link: CutLink
  /** The digest of team/app:1, and all digests that belong to it, in each registry. */
  readonly one: StagedImage
  readonly other: StagedImage
  /** The same of library/busybox:1 on Docker Hub. */
  readonly hub: StagedImage
  /** Writes what `client-config` gives for a client, and gives the directory that stands for its root. */
  clientFiles(client: string, url?: string): Promise<string>
  /** Statuses of answers to requests for a kind of endpoint, from the mirror's log. */
  statuses(endpoint: string): number[]
  /** Asserts that neither passwords reached the far side, nor errors or secrets the log. */
  assertNothingLeaked(t: Test, ...secrets: string[]): void
}

export interface StagedImage {
  readonly digest: string
  readonly contents: readonly string[]
}

export interface NamedStageOptions {
  /** Merged over the top of the mirror's configuration. */
  readonly settings?: Record<string, unknown>
  /** Where the way to the mirror listens, if not on a port. */
  readonly socket?: string
  readonly architectures?: readonly string[]
}

export async function setNamedStage(
  t: Test,
  directory: string,
  { settings = {}, socket, architectures = ['amd64', 'arm64'] }: NamedStageOptions = {},
): Promise<NamedStage> {
  const ecr = await startEcr({ accounts: [ONE, OTHER] })
  t.teardown(() => ecr.close())
  const reach = reachOf(ecr)
  const upstreams = [
    { name: 'one', host: HOST_OF_ONE, default: true, ...reach },
    { name: 'other', host: HOST_OF_OTHER, ...reach },
    {
      name: 'hub',
      host: HOST_OF_ONE,
      repositoryPrefix: 'docker-hub',
      serves: ['docker.io', 'hub.mirror.test'],
      ...reach,
    },
  ]
  // What is in the registries comes there past the mirror that is tested.
  const filler = await startMirrorProcess(t, { url: ecr.url, ecr }, { settings: { upstreams } })
  const stage = async (repository: string, where: Where, name: string): Promise<StagedImage> => {
    ecr.createRepository(repository, where)
    const layout = join(directory, `layout-${name}`)
    const digest = await writeLayout(layout, { tag: '1', layers: [LAYER_BYTES, 1000], architectures })
    await succeed('skopeo', [
      ...['copy', '--all', '--preserve-digests', '--dest-tls-verify=false'],
      ...['--dest-creds', `${USER.name}:${USER.password}`, `oci:${layout}:1`],
      `docker://${new URL(filler.url).host}/${where === ONE ? 'one' : 'other'}/${repository}:1`,
    ])
    const contents = (await readdir(join(layout, 'blobs', 'sha256'))).map(hex => `sha256:${hex}`).sort()
    return { digest, contents }
  }
  const one = await stage('team/app', ONE, 'one')
  const other = await stage('team/app', OTHER, 'other')
  const hub = await stage('docker-hub/library/busybox', ONE, 'hub')
  ecr.requests.length = 0

  const mirror = await startMirrorProcess(t, { url: ecr.url, ecr }, { settings: { upstreams, ...settings } })
  const link = await startCutLink(t, mirror.url, socket)
  return {
    directory,
    ecr,
    mirror,
    link,
    one,
    other,
    hub,
    async clientFiles(client, url = link.url) {
      const root = await scratch(t)
      await succeed(
        process.execPath,
        [
          ...[MAIN, 'client-config', client, '--config', mirror.configFile, '--url', url],
          ...['--user', USER.name, '--directory', root],
        ],
        { input: USER.password },
      )
      return root
    },
    statuses: endpoint =>
      mirror
        .output()
        .split('\n')
        .filter(line => line.includes(`"endpoint":"${endpoint}"`))
        .map(line => Number(/"status":(\d+)/.exec(line)?.[1])),
    assertNothingLeaked(t, ...secrets) {
      const basic = Buffer.from(`${USER.name}:${USER.password}`).toString('base64')
      const unwanted = [USER.password, basic, ...secrets]
      const sent = JSON.stringify(ecr.requests.map(({ url, headers }) => ({ url, headers })))
      for (const secret of unwanted) {
        t.notOk(sent.includes(secret), 'nothing that a client logs in with reaches the far side')
        t.notOk(mirror.output().includes(secret), 'nor the log')
      }
      t.same(mirror.errors(), [], 'the mirror has no errors to log')
    },
  }
}
