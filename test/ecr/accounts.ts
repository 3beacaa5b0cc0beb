import type { Content, Spool } from './content.js'
import type { ManifestFacts } from './manifest-facts.js'

/** Which registry: every account has one in every region. */
export interface Where {
  account: string
  region: string
}

export interface StoredManifest {
  readonly bytes: Buffer
  readonly mediaType: string
  readonly digest: string
  readonly facts: ManifestFacts
}

export interface Upload {
  readonly id: string
  readonly spool: Spool
  /** Bytes of each part that was received, in order. */
  readonly parts: number[]
  busy: boolean
}

export class Repository {
  readonly name: string
  readonly blobs = new Map<string, Content>()
  readonly manifests = new Map<string, StoredManifest>()
  readonly tags = new Map<string, string>()
  readonly uploads = new Map<string, Upload>()
  /** Digests that a pull-through cache has fetched. */
  readonly fetched = new Set<string>()
  /** Digests of images in the archival storage class. */
  readonly archived = new Set<string>()
  /** Digests of blobs that were uploaded since an image that has them was archived. */
  readonly restored = new Set<string>()
  immutable: boolean
  /** What CreateRepository was asked for, when it was made so. */
  settings: Readonly<Record<string, unknown>> | undefined

  constructor(name: string, immutable: boolean) {
    this.name = name
    this.immutable = immutable
  }

  manifest(reference: string): StoredManifest | undefined {
    return this.manifests.get(reference.includes(':') ? reference : (this.tags.get(reference) ?? ''))
  }

  /** Whether an image here has the blob as its config or as a layer. */
  references(digest: string): boolean {
    return [...this.manifests.values()].some(manifest => manifest.facts.blobs.includes(digest))
  }

  /** Whether every image that has the blob is archived, and there is one. */
  isArchived(digest: string): boolean {
    if (this.archived.size === 0 || this.restored.has(digest)) return false
    const images = [...this.manifests.values()].filter(manifest => manifest.facts.blobs.includes(digest))
    return images.length > 0 && images.every(image => this.archived.has(image.digest))
  }
}

/** The account that stands for ECR Public, which has one registry. */
export const PUBLIC: Where = { account: 'public', region: 'us-east-1' }

/** The registry of one account in one region. */
export class Registry implements Where {
  readonly account: string
  readonly region: string
  readonly repositories = new Map<string, Repository>()

  constructor({ account, region }: Where) {
    this.account = account
    this.region = region
  }

  get isPublic(): boolean {
    return this.account === PUBLIC.account
  }

  get host(): string {
    if (this.isPublic) return 'public.ecr.aws'
    const suffix = this.region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
    return `${this.account}.dkr.ecr.${this.region}.${suffix}`
  }

  createRepository(name: string, immutable = false): Repository {
    const repository = this.repositories.get(name) ?? new Repository(name, immutable)
    this.repositories.set(name, repository)
    return repository
  }
}

/** As AWS's own credential helper has it (amazon-ecr-credential-helper, ecr-login/api/client.go). */
const ECR_HOST =
  /^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-zA-Z0-9][a-zA-Z0-9-_]*)\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$/
const LOOPBACK = /^(?:127\.0\.0\.1|localhost)$/

export class Accounts {
  readonly all: readonly Registry[]
  readonly first: Registry

  constructor(places: readonly Where[]) {
    const [first, ...others] = places.map(place => new Registry(place))
    if (!first) throw new Error('The stand-in needs one account at least.')
    this.first = first
    this.all = [first, ...others]
  }

  find(where: Partial<Where> = {}): Registry {
    const found = this.all.find(
      each =>
        each.account === (where.account ?? this.first.account) &&
        each.region === (where.region ?? this.first.region),
    )
    if (!found)
      throw new Error(`The stand-in has no account ${where.account ?? ''} in region ${where.region ?? ''}.`)
    return found
  }

  /** The registry that a Host header names. */
  byHost(host: string, loopback: boolean): Registry | undefined {
    const name = host.replace(/:\d+$/, '').toLowerCase()
    if (loopback && LOOPBACK.test(name)) return this.first
    if (name === 'public.ecr.aws' || name === 'ecr-public.aws.com')
      return this.all.find(each => each.isPublic)
    const match = ECR_HOST.exec(name)
    return match ? this.all.find(each => each.account === match[1] && each.region === match[2]) : undefined
  }
}
