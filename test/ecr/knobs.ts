/** What a request stands for in the words of the ECR API; those without an API action have a name of their own. */
export const ACTIONS = [
  'GetAuthorizationToken',
  'BearerToken',
  'CreateRepository',
  'DescribeRepositories',
  'Base',
  'BatchCheckLayerAvailability',
  'BatchGetImage',
  'GetDownloadUrlForLayer',
  'InitiateLayerUpload',
  'UploadLayerPart',
  'CompleteLayerUpload',
  'UploadStatus',
  'AbortUpload',
  'DeleteBlob',
  'PutImage',
  'BatchDeleteImage',
  'ListImages',
  'ListImageReferrers',
  'GetObject',
] as const

export type Action = (typeof ACTIONS)[number]
export type PerAction<T> = Partial<Record<Action, T>>

/** An answer said in place of the real one. */
export interface ScriptedAnswer {
  status: number
  headers?: Record<string, string | string[]>
  body?: string | Buffer
  /** How many requests get it; 1 when left out. Counted down. */
  times?: number
  /** Announces the whole body, sends this many bytes of it and cuts the connection. */
  cutAfterBytes?: number
}

/** How blob bytes are served, by S3 or by a registry that serves them itself. */
export interface S3Knobs {
  /** 400 XML for a pre-signed request that also has an Authorization header. */
  rejectAuthorization: boolean
  /** 403 for a HEAD of a URL signed for GET. */
  headForbidden: boolean
  /** Whether single ranges are honoured; otherwise the whole comes with 200. */
  range: boolean
  multiRange: 'whole' | '416'
  /** Cuts the connection after that many bytes of a body, for the next `times` bodies. */
  cutAfterBytes: { bytes: number; times: number } | undefined
  /** Bytes per second. */
  slow: number | undefined
  /** Offset in the object of a byte that is sent wrong. */
  corruptByte: number | undefined
  /** Added to the Content-Length that is announced; what is sent stays the same. */
  contentLengthLie: number
  /** The next n requests are told that their URL has expired. */
  expired: number
  /** The next n requests get 503 SlowDown. */
  slowDown: number
}

export interface TagKnobs {
  /** Entries on a page when no n is given. */
  page: number
  max: number
  /** What to do with an n above max. */
  overMax: 'refuse' | 'cap'
  /** `last` is an opaque token, or the last tag of the page before (distribution-spec). */
  last: 'opaque' | 'tag'
  sorted: boolean
  contentType: string
}

/** Every way in which the stand-in can differ. All may be changed while it runs; counters count down by themselves. */
export interface Knobs {
  /** Seconds. */
  tokenTtl: number
  /** Length of an authorizationToken in characters, a multiple of 4. */
  tokenSize: number
  /** Epoch seconds that the token API gives as expiresAt, whatever is true (moto says 2015). */
  expiresAt: number | undefined
  expiredStatus: number
  /** Seconds that the credentials of an assumed role are good for. */
  roleTtl: number
  /** The external id that a role asks for, by its ARN. */
  externalIds: Record<string, string>
  /** Takes 127.0.0.1 and localhost as names of the first account, for clients that are pointed straight here. */
  loopbackHost: boolean

  patchStatus: number
  /** Range of a second and later PATCH stays at the end of the first. */
  staleRange: boolean
  /** Smallest size in bytes of every part but the last, checked at the end of an upload. */
  minPart: number
  /** 404, or 204 with Range as the distribution-spec has it. */
  partStatusGet: number
  uuidHeader: boolean
  location: 'abs' | 'abs443' | 'rel'
  digestOnGetManifest: boolean
  digestOnHeadManifest: boolean
  digestOnPutManifest: boolean
  digestOnGetBlob: boolean
  sizesHeader: boolean
  /** Warning headers of every answer of the registry that is no refusal (distribution-spec, "Warnings"). */
  warnings: string[]
  blobHeadContentType: string
  manifestTooLargeStatus: number
  /** POST ?digest= with the blob in it. */
  singlePost: boolean
  sha512: boolean
  deleteBlob: boolean
  /** PUT of a manifest by digest with ?tag=. */
  tagParameters: boolean

  /** Whether a blob GET is redirected to S3 or answered with the bytes. */
  blobRedirect: boolean
  redirectStatus: number
  /** Seconds that a pre-signed URL is good for. */
  presignTtl: number
  /** The host[:port] that redirects name, which may go by the region, when not the S3 listener's own `localhost:PORT`. */
  redirectHost: string | ((region: string) => string) | undefined
  /** Any Location at all, or null for none; a function gets the true one. */
  redirectTo: string | null | ((presigned: string) => string | null) | undefined
  /** How many redirects lead to the bytes. */
  redirectHops: number
  s3: S3Knobs

  tags: TagKnobs
  missingRepo: 404 | 'drop'
  /** Repository name prefixes that a push creates; '' is every one. */
  createOnPush: string[]
  /** Repository name prefixes of pull-through-cache rules: an image is there by digest once it was asked for by tag. */
  pullThrough: string[]
  /** Makes the tags of every repository immutable. */
  immutableTags: boolean
  blobMounting: boolean
  referrers: 'on' | 404
  /** OCI-Subject on a manifest PUT, OCI-Filters-Applied and the filter itself. */
  referrersHeaders: boolean
  layerInaccessibleUntilTagged: boolean
  acceptConversion: boolean

  /** The quotas of an AWS account, requests per second by action, or none. */
  quotas: 'off' | 'aws' | PerAction<number>
  /** 429 (in the API: ThrottlingException) above a rate per second, or for the next n. */
  throttle: PerAction<{ rate: number } | { next: number }>
  /** Milliseconds before a request is looked at, its body included. */
  latency: PerAction<number>
  /** Milliseconds between the whole of a request and what is done about it, which is done though its sender leaves. */
  thinking: PerAction<number>
  /** The next n requests are carried out, and their connection is cut in place of the answer. */
  loseAnswer: PerAction<number>
  /** The next n requests are accepted and never answered. */
  hang: PerAction<number>
  /** 1 resets the connection of the next such request, 2 of the one after it. */
  resetConnection: PerAction<number>
  /** The next n requests get 500. */
  serverError: PerAction<number>
  answer: PerAction<ScriptedAnswer[]>
  iamDenied: PerAction<boolean>
  /** Roles that may have a token, and nothing of the registry with it; by ARN. */
  deniedRoles: string[]
}

export type KnobSettings = Partial<Omit<Knobs, 's3' | 'tags'>> & {
  s3?: Partial<S3Knobs>
  tags?: Partial<TagKnobs>
}

export type Profile = 'ecr' | 'spec'

const ECR: Knobs = {
  tokenTtl: 12 * 3600,
  tokenSize: 2704,
  expiresAt: undefined,
  expiredStatus: 403,
  roleTtl: 3600,
  externalIds: {},
  loopbackHost: false,
  patchStatus: 201,
  staleRange: true,
  minPart: 5 * 1024 * 1024,
  partStatusGet: 404,
  uuidHeader: false,
  location: 'abs',
  digestOnGetManifest: false,
  digestOnHeadManifest: true,
  digestOnPutManifest: true,
  digestOnGetBlob: false,
  sizesHeader: true,
  warnings: [],
  blobHeadContentType: 'application/vnd.docker.container.image.v1+json',
  manifestTooLargeStatus: 405,
  singlePost: false,
  sha512: false,
  deleteBlob: false,
  tagParameters: false,
  blobRedirect: true,
  redirectStatus: 307,
  presignTtl: 3600,
  redirectHost: undefined,
  redirectTo: undefined,
  redirectHops: 1,
  s3: {
    rejectAuthorization: true,
    headForbidden: true,
    range: true,
    multiRange: 'whole',
    cutAfterBytes: undefined,
    slow: undefined,
    corruptByte: undefined,
    contentLengthLie: 0,
    expired: 0,
    slowDown: 0,
  },
  tags: {
    page: 100,
    max: 1000,
    overMax: 'refuse',
    last: 'opaque',
    sorted: false,
    contentType: 'text/plain; charset=utf-8',
  },
  missingRepo: 404,
  createOnPush: [],
  pullThrough: [],
  immutableTags: false,
  blobMounting: false,
  referrers: 'on',
  referrersHeaders: false,
  layerInaccessibleUntilTagged: true,
  acceptConversion: true,
  quotas: 'off',
  throttle: {},
  latency: {},
  thinking: {},
  loseAnswer: {},
  hang: {},
  resetConnection: {},
  serverError: {},
  answer: {},
  iamDenied: {},
  deniedRoles: [],
}

/** A registry that does what the distribution-spec 1.1 and its main branch say. */
const SPEC: KnobSettings = {
  expiredStatus: 401,
  loopbackHost: true,
  patchStatus: 202,
  staleRange: false,
  minPart: 0,
  partStatusGet: 204,
  uuidHeader: true,
  location: 'rel',
  digestOnGetManifest: true,
  digestOnGetBlob: true,
  sizesHeader: false,
  blobHeadContentType: 'application/octet-stream',
  manifestTooLargeStatus: 413,
  singlePost: true,
  sha512: true,
  deleteBlob: true,
  tagParameters: true,
  blobRedirect: false,
  tags: { page: 1000, overMax: 'cap', last: 'tag', sorted: true, contentType: 'application/json' },
  createOnPush: [''],
  blobMounting: true,
  referrersHeaders: true,
  layerInaccessibleUntilTagged: false,
  acceptConversion: false,
}

/** The knobs of a profile with some of them set otherwise. */
export function knobsOf(profile: Profile, settings: KnobSettings = {}): Knobs {
  const base = structuredClone(ECR)
  return profile === 'ecr' ? merged(base, settings) : merged(merged(base, structuredClone(SPEC)), settings)
}

function merged(knobs: Knobs, settings: KnobSettings): Knobs {
  return {
    ...knobs,
    ...settings,
    s3: { ...knobs.s3, ...settings.s3 },
    tags: { ...knobs.tags, ...settings.tags },
  }
}
