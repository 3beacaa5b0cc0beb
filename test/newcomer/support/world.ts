import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startCutLink } from '../../clients/support/cut-link.js'
import { makeMachine, type Machine } from '../../clients/support/machine.js'
import { needs, needsRoot } from '../../clients/support/required-packages.js'
import { scratch } from '../../clients/support/scratch.js'
import { startEcr, type Ecr, type Where } from '../../ecr/ecr.js'
import { makeSharedCertificate } from '../../support/certificate.js'
import { noMounts } from '../../store/support/mounts.js'

/** The accounts that the documents and `config/` speak of. */
export const TEAM: Where = { account: '123456789012', region: 'us-east-1' }
export const SHARED: Where = { account: '210987654321', region: 'eu-west-1' }

export const HOST_OF_TEAM = hostOf(TEAM)
export const HOST_OF_SHARED = hostOf(SHARED)

/** Addresses that the mirror takes for the internet's, which in this world nobody else has. */
const REGISTRIES = '52.95.100.1'
const BUCKETS = '52.95.100.2'

const REGIONS = [TEAM.region, SHARED.region]

/** What the mirror connects to at AWS, as the table under "Network" in the README has it. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  [REGISTRIES]: [
    HOST_OF_TEAM,
    HOST_OF_SHARED,
    ...REGIONS.flatMap(region => [`api.ecr.${region}.amazonaws.com`, `sts.${region}.amazonaws.com`]),
    'sts.amazonaws.com',
  ],
  [BUCKETS]: REGIONS.map(bucketOf),
  '127.0.0.1': ['localhost', 'mirror.internal'],
}

/** A machine on which the names of the documents are true, without a way out to any other. */
export interface World {
  /** For whatever a test writes; its path is short, and the same inside. */
  readonly directory: string
  /** ECR, its API, STS and S3, at their own names and with TLS. */
  readonly ecr: Ecr
  readonly machine: Machine
  /** AWS credentials, and the authority of this world's certificates. */
  readonly env: Readonly<Record<string, string>>
}

/** Options for a test that needs such a world: skipped, with the reason, where there can be none. */
export function needsWorld(...more: Parameters<typeof needs>): { readonly skip?: string } {
  return {
    ...(noMounts !== false && { skip: noMounts }),
    ...needsRoot(),
    ...needs('ip', 'openssl', ...more),
  }
}

export async function startWorld(t: Test): Promise<World> {
  const directory = await scratch(t)
  const hostNames = Object.values(NAMES).flat()
  const { certificate, key, pem } = makeSharedCertificate(directory, [HOST_OF_TEAM, ...hostNames], 'world')
  const ecr = await startEcr({
    accounts: [TEAM, SHARED],
    tls: { key: await readFile(key), cert: pem },
    temporaryDirectory: directory,
    knobs: { redirectHost: bucketOf },
  })
  t.teardown(() => ecr.close())

  const root = join(directory, 'root')
  await mkdir(join(root, 'etc', 'ecr-mirror'), { recursive: true })
  const hosts = Object.entries(NAMES).map(([address, names]) => `${address} ${names.join(' ')}\n`)
  await writeFile(join(root, 'etc', 'hosts'), hosts.join(''))
  const far = { [REGISTRIES]: ecr.url, [BUCKETS]: `https://127.0.0.1:${ecr.s3Host.split(':')[1] ?? ''}` }
  const networks = await Promise.all(
    Object.entries(far).map(async ([address, url]) => {
      const socket = join(directory, `${address}.sock`)
      await startCutLink(t, url, socket)
      return { address, port: 443, socket }
    }),
  )
  const machine = await makeMachine(t, root, { networks, empty: ['/var/cache', '/var/log'] })
  return {
    directory,
    ecr,
    machine,
    env: {
      ...machine.env,
      AWS_ACCESS_KEY_ID: 'AKIDSTANDIN',
      AWS_SECRET_ACCESS_KEY: 'secret-of-the-stand-in',
      NODE_EXTRA_CA_CERTS: certificate,
    },
  }
}

function hostOf({ account, region }: Where): string {
  return `${account}.dkr.ecr.${region}.amazonaws.com`
}

function bucketOf(region: string): string {
  return `prod-${region}-starport-layer-bucket.s3.${region}.amazonaws.com`
}
