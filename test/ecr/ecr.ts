import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Accounts, type Where } from './accounts.js'
import { archive, collectLayers, expire, moveTag, recreate } from './behind.js'
import { bytesOf } from './content.js'
import { knobsOf, type Knobs, type KnobSettings, type Profile } from './knobs.js'
import { Quotas } from './quotas.js'
import { Recorder, type RecordedRequest, type RequestFilter } from './recorder.js'
import { handleRegistry } from './registry.js'
import { LayerBucket } from './s3.js'
import { seedBlob, seedImage, seedManifest } from './seed.js'
import type { BlobSource, ImageSource, SeededBlob, SeededImage } from './seed.js'
import { listen, type TlsFiles } from './server.js'
import type { Stand } from './stand.js'
import { handleSts } from './sts.js'
import { handleApi } from './token-api.js'
import { Tokens, type Token } from './tokens.js'

export type { Knobs, KnobSettings, Profile, RecordedRequest, RequestFilter, Where }
export type { BlobSource, ImageSource, SeededBlob, SeededImage }

export interface EcrOptions {
  /** ECR with all its oddities, or a plain registry of the distribution-spec. */
  profile?: Profile
  accounts?: Where[]
  knobs?: KnobSettings
  port?: number
  s3Port?: number
  /** Serves https on both listeners. */
  tls?: TlsFiles
  /** Where a directory for large uploads is made and removed again; the system's own by default. */
  temporaryDirectory?: string
}

export interface Manifest {
  readonly bytes: Buffer
  readonly mediaType: string
  readonly digest: string
}

/** A stand-in for ECR, its API and the S3 it redirects to, on loopback. */
export interface Ecr {
  /** The registry (by Host header) and, at POST /, the ECR API and the identity from STS. */
  readonly url: string
  /** host:port of S3, under another host name than the registry's. */
  readonly s3Host: string
  /** The first account's registry host. */
  readonly host: string
  readonly knobs: Knobs
  /** Every request that arrived, in order. */
  readonly requests: RecordedRequest[]
  /** Requests whose answer has neither ended nor been cut. */
  readonly open: number
  /** Upload sessions that have neither ended nor been given up. */
  readonly uploads: number
  hostOf(where: Partial<Where>): string
  count(filter?: RequestFilter | ((request: RecordedRequest) => boolean)): number
  /** Resolves as soon as that many requests match; one when left out. */
  arrived(filter: RequestFilter | ((request: RecordedRequest) => boolean), times?: number): Promise<void>
  /** Resolves as soon as no request is open. */
  settled(): Promise<void>
  /** Every token minted so far is dead from now on. */
  expireTokens(): void
  /** A token without a call of the API: `Basic ${authorizationToken}` is what the registry takes. */
  token(where?: Partial<Where>): Token
  createRepository(name: string, options?: Partial<Where> & { immutable?: boolean }): void
  putBlob(repository: string, source: BlobSource, where?: Partial<Where>): Promise<SeededBlob>
  /** Tags the manifest when a tag is given. */
  putManifest(
    repository: string,
    tag: string | undefined,
    manifest: object | Buffer | string,
    options?: Partial<Where> & { mediaType?: string },
  ): Manifest
  putImage(
    repository: string,
    tag: string | undefined,
    options?: Partial<Where> & ImageSource,
  ): Promise<SeededImage>
  /** What is stored, however it came there. */
  blob(
    repository: string,
    digest: string,
    where?: Partial<Where>,
  ): { size: number; bytes(): Promise<Buffer> } | undefined
  manifest(repository: string, reference: string, where?: Partial<Where>): Manifest | undefined
  tags(repository: string, where?: Partial<Where>): string[]
  /** The repository is deleted with all that is in it, and created anew. */
  recreateRepository(name: string, where?: Partial<Where>): void
  /** The repository is deleted with all that is in it. */
  deleteRepository(name: string, where?: Partial<Where>): void
  /** A lifecycle policy takes an image with its tags, and the layers that no other has. Throws where an index keeps it. */
  expire(repository: string, reference: string, where?: Partial<Where>): void
  /** The layers go that belong to no image. */
  collectLayers(repository: string, where?: Partial<Where>): void
  /** A tag stands for another image of the repository from now on. */
  moveTag(repository: string, tag: string, reference: string, where?: Partial<Where>): void
  /** An image goes to the archival storage class, from which nobody can pull it. */
  archive(repository: string, reference: string, where?: Partial<Where>): void
  /** A pull-through cache loses all that it has fetched, as a lifecycle policy makes it. */
  forgetFetched(): void
  /** What a call of CreateRepository asked for; undefined for a repository that was made otherwise. */
  settingsOf(repository: string, where?: Partial<Where>): Readonly<Record<string, unknown>> | undefined
  close(): Promise<void>
}

export async function startEcr(options: EcrOptions = {}): Promise<Ecr> {
  const knobs = knobsOf(options.profile ?? 'ecr', options.knobs)
  const accounts = new Accounts(options.accounts ?? [{ account: '123456789012', region: 'us-east-1' }])
  const recorder = new Recorder()
  const tokens = new Tokens()
  const quotas = new Quotas()
  const bucket = new LayerBucket(knobs, quotas)
  const s3 = await listen({
    at: 's3',
    port: options.s3Port,
    tls: options.tls,
    recorder,
    handle: exchange => bucket.handle(exchange),
  })
  const spoolDirectory = await mkdtemp(join(options.temporaryDirectory ?? tmpdir(), 'ecr-stand-in-'))
  const profile = options.profile ?? 'ecr'
  const roles = new Map<string, string>()
  const stand: Stand = { profile, knobs, accounts, tokens, roles, quotas, bucket, spoolDirectory }

  const registry = await listen({
    at: 'registry',
    port: options.port,
    tls: options.tls,
    recorder,
    handle: exchange => {
      const { method, headers } = exchange.request
      if (method !== 'POST' || exchange.path !== '/') return handleRegistry(stand, exchange)
      return headers['x-amz-target'] === undefined ? handleSts(stand, exchange) : handleApi(stand, exchange)
    },
  }).catch(async (error: unknown) => {
    await s3.close()
    await rm(spoolDirectory, { recursive: true, force: true })
    throw error
  })
  const scheme = options.tls ? 'https' : 'http'
  bucket.scheme = scheme
  bucket.host = `localhost:${s3.port}`

  const repositoryAt = (name: string, where: Partial<Where> = {}) =>
    accounts.find(where).createRepository(name)
  const found = (name: string, where: Partial<Where> = {}) => accounts.find(where).repositories.get(name)
  return {
    url: `${scheme}://127.0.0.1:${registry.port}`,
    s3Host: bucket.host,
    host: accounts.first.host,
    knobs,
    requests: recorder.requests,
    get open() {
      return recorder.open
    },
    get uploads() {
      const repositories = accounts.all.flatMap(each => [...each.repositories.values()])
      return repositories.reduce((total, repository) => total + repository.uploads.size, 0)
    },
    hostOf: where => accounts.find(where).host,
    count: filter => recorder.count(filter),
    arrived: (filter, times = 1) => recorder.until(() => recorder.count(filter) >= times),
    settled: () => recorder.until(() => recorder.open === 0),
    expireTokens: () => tokens.expireAll(),
    token: where => tokens.mint(accounts.find(where), 'seeded', knobs.tokenTtl, knobs.tokenSize),
    createRepository: (name, where = {}) => {
      accounts.find(where).createRepository(name, where.immutable)
    },
    putBlob: (name, source, where) => seedBlob(repositoryAt(name, where), source),
    putManifest: (name, tag, manifest, where = {}) =>
      seedManifest(repositoryAt(name, where), tag, manifest, where.mediaType),
    putImage: (name, tag, where = {}) => seedImage(repositoryAt(name, where), tag, where),
    blob: (name, digest, where) => {
      const content = found(name, where)?.blobs.get(digest)
      return content && { size: content.size, bytes: () => bytesOf(content) }
    },
    manifest: (name, reference, where) => found(name, where)?.manifest(reference),
    recreateRepository: (name, where) => {
      recreate(accounts.find(where), name)
    },
    deleteRepository: (name, where) => {
      accounts.find(where).repositories.delete(name)
    },
    expire: (name, reference, where) => expire(repositoryAt(name, where), reference),
    collectLayers: (name, where) => collectLayers(repositoryAt(name, where)),
    moveTag: (name, tag, reference, where) => moveTag(repositoryAt(name, where), tag, reference),
    archive: (name, reference, where) => archive(repositoryAt(name, where), reference),
    forgetFetched: () => {
      for (const { repositories } of accounts.all)
        for (const each of repositories.values()) each.fetched.clear()
    },
    settingsOf: (name, where) => found(name, where)?.settings,
    tags: (name, where) => [...(found(name, where)?.tags.keys() ?? [])].sort(),
    close: async () => {
      await Promise.all([registry.close(), s3.close()])
      const repositories = accounts.all.flatMap(each => [...each.repositories.values()])
      await Promise.all(
        repositories.flatMap(each => [...each.uploads.values()].map(upload => upload.spool.discard())),
      )
      await rm(spoolDirectory, { recursive: true, force: true })
    },
  }
}
