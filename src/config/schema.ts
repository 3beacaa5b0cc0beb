import { z } from 'zod'
import { ACTIONS } from '../access/policy.js'
import { parseRepository } from '../oci/reference.js'
import { parseEcrHost } from '../upstream/ecr-host.js'
import { ECR_ACTIONS } from '../upstream/ecr-action.js'
import {
  addressRange,
  duration,
  durationOrForever,
  durationOrNever,
  freeSpace,
  hostAndPort,
  size,
  hostPattern,
  list,
  listenAddress,
  oneOf,
} from './fields.js'
import { manifestMemory, oneOrMore, origin, parsed, path, rate, secret, text, wholeNumber } from './fields.js'
import type { Secret } from '../secret.js'

const tlsSchema = z
  .strictObject({
    certificate: path('PEM file with the certificate, followed by those that lead to its root.'),
    key: path("PEM file with the certificate's private key."),
    clientCa: path(
      'PEM file with the authorities whose client certificates are accepted; such a client is the principal `cert:<CN>`.',
    ).exactOptional(),
  })
  .meta({ description: 'A certificate to serve with.' })

const repositoryPattern = text('a repository pattern such as team/** or library/nginx', value =>
  /^[a-z0-9._*-]+(?:\/[a-z0-9._*-]+)*$/.test(value),
)

const grantSchema = z
  .strictObject({
    principals: list(text('a user, "*", "anonymous" or "cert:<CN>"'))
      .min(1, { error: 'a list that is not empty' })
      .meta({
        description:
          'User names, `"*"` for every logged-in user, `anonymous`, or `cert:<CN>` for a client certificate.',
      }),
    addresses: list(addressRange).exactOptional().meta({
      description: 'Client address ranges that it is limited to, such as `10.20.0.0/16`; left out: any.',
    }),
    upstreams: list(text("an upstream's name"))
      .exactOptional()
      .meta({ description: 'Names of the upstreams it is about; left out: all.' }),
    repositories: list(repositoryPattern).min(1, { error: 'a list that is not empty' }).exactOptional().meta({
      description:
        'Patterns of repositories: `*` within a path segment, `**` across segments; left out: all.',
    }),
    actions: list(oneOf(ACTIONS))
      .min(1, { error: 'a list that is not empty' })
      .meta({ description: 'What is allowed.' }),
  })
  .meta({ description: 'One grant; what no grant allows is denied.' })

const credentialsSchema = z.strictObject({
  profile: text('the name of a profile')
    .exactOptional()
    .meta({ description: 'A profile of the AWS configuration files.' }),
  roleArn: text('a role such as arn:aws:iam::123456789012:role/ecr-mirror', value =>
    /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,576}$/.test(value),
  )
    .exactOptional()
    .meta({ description: 'An IAM role to assume.' }),
  externalId: secret('2 to 1224 letters, digits or any of + = , . @ : / -', value =>
    /^[\w+=,.@:/-]{2,1224}$/.test(value),
  )
    .exactOptional()
    .meta({ description: 'The external id that the role asks for.' }),
  sessionName: text('2 to 64 letters, digits or any of + = , . @ -', value =>
    /^[\w+=,.@-]{2,64}$/.test(value),
  )
    .exactOptional()
    .meta({ description: 'The name of the role session, as CloudTrail shows it; left out: `ecr-mirror`.' }),
})

const createRepositoriesSchema = z.strictObject({
  match: list(repositoryPattern)
    .min(1, { error: 'a list that is not empty' })
    .meta({ description: 'Patterns of the repositories that a push creates, as clients name them.' }),
  tagMutability: oneOf(['MUTABLE', 'IMMUTABLE'])
    .exactOptional()
    .meta({ description: 'Whether their tags may be moved.' }),
  scanOnPush: z
    .boolean({ error: 'true or false' })
    .exactOptional()
    .meta({ description: 'Whether ECR scans each image that is pushed.' }),
  encryption: z
    .strictObject({
      type: oneOf(['AES256', 'KMS', 'KMS_DSSE']).meta({ description: 'How images are encrypted.' }),
      key: text('the ARN, id or alias of a KMS key', value => /^[\w:/-]{1,2048}$/.test(value))
        .exactOptional()
        .meta({ description: 'The KMS key: ARN, id or alias.' }),
    })
    .exactOptional()
    .meta({ description: "Their encryption; left out: ECR's own." }),
  tags: z
    .record(
      text('an AWS tag key of 1 to 128 characters', value => /^[^\p{C}]{1,128}$/u.test(value)),
      text('an AWS tag value of at most 256 characters', value => /^[^\p{C}]{0,256}$/u.test(value)),
    )
    .default({})
    .meta({ description: 'Their AWS resource tags, by key; left out: none.' }),
})

const upstreamSchema = z
  .strictObject({
    name: text(
      'a name such as main or eu-west, in lower case, which does not look like a host',
      value => /^[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*$/.test(value) && value !== 'localhost',
    ).meta({ description: 'Its name; clients may write `<mirror>/<name>/<repository>`.' }),
    host: parsed(
      'an ECR host such as 123456789012.dkr.ecr.us-east-1.amazonaws.com, or public.ecr.aws',
      value => (parseEcrHost(value.toLowerCase()) ? value.toLowerCase() : undefined),
    ).meta({ description: 'An ECR host of any partition, or `public.ecr.aws`.' }),
    default: z.boolean({ error: 'true or false' }).default(false).meta({
      description: 'Whether `<mirror>/<repository>` means this one; the only one is the default.',
    }),
    repositoryPrefix: text(
      'a path such as docker-hub, without a slash at its ends',
      value => value === '' || parseRepository(value) !== undefined,
    )
      .default('')
      .meta({
        description:
          'Put before every repository upstream, such as `docker-hub` for a pull-through-cache rule.',
      }),
    serves: list(hostAndPort)
      .prefault([])
      .meta({ description: 'Further names in `ns` or Host that mean this one, such as `docker.io`.' }),
    credentials: credentialsSchema
      .prefault({})
      .meta({ description: 'Where its AWS credentials come from; left out: the AWS default chain.' }),
    endpoint: origin.exactOptional().meta({
      description: 'Where to connect instead of `https://<host>`; Host header and SNI stay `<host>`.',
    }),
    apiEndpoint: origin
      .exactOptional()
      .meta({ description: "The ECR API; left out: `AWS_ENDPOINT_URL_ECR`, otherwise AWS's own." }),
    redirectHosts: list(hostPattern).exactOptional().meta({
      description:
        "Hosts (host or host:port, `*` for a part of one label) that blobs may be redirected to; one with a port may be plain HTTP. Left out: the region's layer bucket, or ECR Public's CloudFront hosts.",
    }),
    createRepositories: createRepositoriesSchema.exactOptional().meta({
      description: 'The repositories that a push creates where they are missing; left out: none.',
    }),
    quotas: z
      .partialRecord(
        oneOf(ECR_ACTIONS),
        z
          .number({ error: 'requests per second, more than 0' })
          .positive({ error: 'requests per second, more than 0' }),
      )
      .default({})
      .meta({
        description: "Requests per second by ECR action, where the account's differ from AWS's defaults.",
      }),
  })
  .meta({ description: 'One ECR registry.' })

const cacheSchema = z
  .strictObject({
    directory: path(
      'Its directory; one mirror owns it. The image has `/var/cache/ecr-mirror` to mount a volume on.',
    ),
    maxSize: size.prefault('100GiB').meta({ description: 'How much of the disk blobs may take.' }),
    minFree: freeSpace
      .prefault('5%')
      .meta({ description: 'What of the disk is left free, as a size or a share.' }),
    verify: oneOf(['first', 'always', 'never']).default('first').meta({
      description:
        'Whether stored bytes are hashed while they are served; `first`: the first time since the start or since the file changed.',
    }),
    fillOnRange: oneOf(['auto', 'always', 'never']).default('auto').meta({
      description:
        'Whether a range of a blob that is not stored fetches all of it; `auto`: when it begins at the start or reaches to the end, since clients that pull lazily ask for bounded ranges elsewhere.',
    }),
    download: z
      .strictObject({
        parts: wholeNumber(1)
          .default(8)
          .meta({ description: 'Ranges of one blob that are downloaded at a time.' }),
        partSize: size.prefault('8MiB').meta({ description: 'Size of such a range.' }),
      })
      .prefault({})
      .meta({ description: 'How large blobs are downloaded.' }),
    scrub: z
      .strictObject({
        every: durationOrNever.prefault('24h').meta({
          description: 'How long after a pass over all stored blobs the next one begins; may be `never`.',
        }),
        rate: rate
          .prefault('20MiB/s')
          .meta({ description: 'How much of them is read in a second, at most.' }),
      })
      .prefault({})
      .meta({ description: 'The hashing of stored blobs in the background, wanted or not.' }),
    tags: z
      .strictObject({
        ttl: duration.prefault('10s').meta({
          description: 'How long what the upstream said of a tag holds, before it is asked again.',
        }),
        immutable: list(text('a pattern of tags such as v*', value => /^[\w.*-]{1,128}$/.test(value)))
          .default([])
          .meta({
            description: 'Patterns of tags that never move, such as `v*`: of those it is asked once.',
          }),
        staleFor: durationOrForever.prefault('24h').meta({
          description: 'How much longer it may be used while the upstream cannot be asked; may be `forever`.',
        }),
      })
      .prefault({})
      .meta({ description: 'What tags stand for.' }),
    membership: z
      .strictObject({
        ttl: duration
          .prefault('1h')
          .meta({ description: 'How long a proof that a repository contains a digest holds.' }),
        staleFor: durationOrForever.prefault('24h').meta({
          description: 'How much longer it may be used while the upstream cannot be asked; may be `forever`.',
        }),
      })
      .prefault({})
      .meta({ description: 'To which repositories stored blobs are served.' }),
  })
  .meta({ description: 'The cache; left out: everything streams through.' })

const SOME_UPSTREAM = 'a list of at least one upstream; for a quick start: --registry HOST'

/** The configuration file: its keys, their types, defaults and descriptions. */
export const settingsSchema = z.strictObject({
  listen: oneOrMore(listenAddress)
    .prefault('0.0.0.0:5000')
    .meta({ description: 'Where clients connect, `HOST:PORT` or a list of them.' }),
  publicUrl: origin.exactOptional().meta({
    description: 'The URL that clients know the mirror by; used only where an absolute URL is unavoidable.',
  }),
  trustedProxies: list(addressRange)
    .default([])
    .meta({ description: 'Address ranges whose `X-Forwarded-For` counts; nobody by default.' }),
  tls: oneOrMore(tlsSchema).default([]).meta({
    description: 'The certificate to serve with, or a list chosen from by server name; left out: plain HTTP.',
  }),
  operations: z
    .strictObject({
      listen: listenAddress
        .prefault('127.0.0.1:5001')
        .meta({ description: 'Where `/livez`, `/readyz`, `/metrics` and `/status` are served.' }),
    })
    .prefault({})
    .meta({ description: 'The port for whoever runs the mirror.' }),
  users: z
    .strictObject({
      htpasswd: path(
        'Users with bcrypt, scrypt or argon2id hashes; several lines of one name are several passwords.',
      ).exactOptional(),
    })
    .prefault({})
    .meta({ description: 'Who may log in.' }),
  policy: list(grantSchema)
    .exactOptional()
    .meta({ description: 'Grants. Left out: every user may pull and push on every upstream.' }),
  upstreams: list(upstreamSchema, SOME_UPSTREAM)
    .min(1, { error: SOME_UPSTREAM })
    .meta({ description: 'The registries behind the mirror, at least one.' }),
  cache: cacheSchema.exactOptional(),
  uploads: z
    .strictObject({
      sessionKey: secret(
        'a secret of at least 16 characters, e.g. from: openssl rand -base64 32',
        value => value.length >= 16,
      )
        .exactOptional()
        .meta({
          description:
            'Seals upload sessions; at least 16 characters; replicas share it. Left out: a random one, so that a restart ends pushes in progress.',
        }),
    })
    .prefault({})
    .meta({ description: 'Pushes.' }),
  audit: z
    .strictObject({
      file: path('File that the audit log is appended to.'),
    })
    .exactOptional()
    .meta({
      description: 'Who pulled, pushed and deleted what, and whose login was refused; left out: none.',
    }),
  tracing: z
    .strictObject({
      enabled: z.boolean({ error: 'true or false' }).default(false).meta({
        description:
          'Makes spans of OpenTelemetry, for the SDK that is loaded before the mirror (node --import).',
      }),
    })
    .prefault({})
    .meta({ description: 'Traces of requests.' }),
  status: z
    .strictObject({
      transferPrice: z
        .number({ error: 'US dollars for a GB, such as 0.09' })
        .nonnegative({ error: 'US dollars for a GB, such as 0.09' })
        .exactOptional()
        .meta({
          description:
            'What a GB (1024³ bytes) from ECR costs, in US dollars, by which the page tells what the cache saved; left out: no money is told.',
        }),
    })
    .prefault({})
    .meta({ description: 'The page for people at /status.' }),
  log: z
    .strictObject({
      level: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .default('info')
        .meta({ description: 'The least severe level that is logged.' }),
      format: oneOf(['json', 'pretty'])
        .exactOptional()
        .meta({ description: 'How it is written; left out: `pretty` on a terminal, else `json`.' }),
    })
    .prefault({})
    .meta({ description: 'The log, on standard output.' }),
  limits: z
    .strictObject({
      maxRequests: wholeNumber(1).default(2000).meta({
        description:
          'Requests in flight; a client has as many as it leaves for others, and those that have not logged in three quarters; more are answered 503, and those that need the upstream above nine tenths of it.',
      }),
      maxConnections: wholeNumber(1).default(10_000).meta({
        description:
          'Open client connections; when all are taken, the oldest without a login gives way to a new one.',
      }),
      maxConnectionsPerAddress: wholeNumber(1).default(2000).meta({
        description:
          'The same of one address, or of one /64 of IPv6; not of `trustedProxies`, which many clients come from.',
      }),
      maxFills: wholeNumber(1)
        .default(256)
        .meta({ description: 'Blobs that are fetched into the cache at a time; more wait 5 s, then 503.' }),
      maxUpstreamConnections: wholeNumber(1)
        .default(128)
        .meta({ description: 'Connections to one host of an upstream or its storage; more requests wait.' }),
      maxManifestMemory: manifestMemory.prefault('256MiB').meta({
        description: 'Manifests and listings held in memory at once, at least 16MiB; more are answered 503.',
      }),
      idleTimeout: duration.prefault('60s').meta({
        description:
          'How long a connection may make no progress, or be too slow, while it is the client’s turn.',
      }),
      headersTimeout: duration
        .prefault('10s')
        .meta({ description: 'How long a client may take to send the headers of a request.' }),
      drainDelay: duration.prefault('5s').meta({
        description:
          'How long, of drainTimeout, connections are still taken after SIGTERM while /readyz says 503, for balancers to notice.',
      }),
      drainTimeout: duration
        .prefault('25s')
        .meta({ description: 'How long requests may go on after SIGTERM; then they are cut.' }),
    })
    .prefault({})
    .meta({ description: 'Bounds.' }),
})

/** The settings as the schema gives them: complete with defaults, durations in milliseconds. */
export type Settings = z.output<typeof settingsSchema>

type Frozen<T> = T extends Secret
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Frozen<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: Frozen<T[Key]> }
      : T

/** A user for a quick start, from ECR_MIRROR_USERS; to be hashed at once. */
export interface PlainUser {
  readonly name: string
  readonly password: Secret
}

/**
 * The whole configuration, checked, with every default and nothing left relative: paths are absolute, durations are
 * milliseconds, and exactly one upstream is the default where there is only one. Frozen.
 */
export type Config = Frozen<Omit<Settings, 'users'>> & {
  readonly users: Frozen<Settings['users']> & { readonly plain: readonly PlainUser[] }
}

export type TlsConfig = Config['tls'][number]
