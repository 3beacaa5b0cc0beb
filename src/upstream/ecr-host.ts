/** A private ECR registry, as its host name tells it. */
export interface PrivateEcrHost {
  readonly kind: 'private'
  /** Lower case, without a port. */
  readonly host: string
  /** Twelve digits. */
  readonly account: string
  readonly region: string
  readonly fips: boolean
  readonly dualStack: boolean
  /** The partition's suffix under which S3 and the IPv4 endpoints live, such as `amazonaws.com.cn`. */
  readonly dnsSuffix: string
}

/** Amazon ECR Public; it has one registry and hands out bearer tokens. */
export interface PublicEcrHost {
  readonly kind: 'public'
  readonly host: string
}

export type EcrHost = PrivateEcrHost | PublicEcrHost

/** As in AWS's own amazon-ecr-credential-helper, ecr-login/api/client.go. */
const PRIVATE =
  /^(\d{12})\.dkr([.-])ecr(-fips)?\.([a-z0-9][a-z0-9-_]*)\.(amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$/
const PUBLIC = ['public.ecr.aws', 'ecr-public.aws.com']

/** Dual-stack registries have a suffix of their own; S3 stays under the partition's. */
const DUAL_STACK_SUFFIX: Readonly<Record<string, string>> = {
  'on.aws': 'amazonaws.com',
  'on.amazonwebservices.com.cn': 'amazonaws.com.cn',
}

/** What an ECR host name of any partition means, or undefined when it is none. Case does not matter. */
export function parseEcrHost(text: string): EcrHost | undefined {
  const host = text.toLowerCase()
  if (PUBLIC.includes(host)) return { kind: 'public', host }
  const [, account, separator, fips, region, suffix] = PRIVATE.exec(host) ?? []
  if (account === undefined || region === undefined || suffix === undefined) return undefined
  const ipv4Suffix = DUAL_STACK_SUFFIX[suffix]
  const dualStack = ipv4Suffix !== undefined
  if (dualStack !== (separator === '-')) return undefined
  return {
    kind: 'private',
    host,
    account,
    region,
    fips: fips !== undefined,
    dualStack,
    dnsSuffix: ipv4Suffix ?? suffix,
  }
}

/**
 * The hosts that a registry's layers are downloaded from: the region's layer bucket, in S3's present form of host
 * names and its older one. Never a wider pattern, since bucket names can be claimed by anybody.
 * AWS: "Amazon ECR interface VPC endpoints", minimum S3 bucket permissions.
 */
export function layerBucketHosts({ region, dnsSuffix }: PrivateEcrHost): readonly string[] {
  const bucket = `prod-${region}-starport-layer-bucket`
  return [`${bucket}.s3.${region}.${dnsSuffix}`, `${bucket}.s3-${region}.${dnsSuffix}`]
}

/**
 * The hosts that blobs of ECR Public are downloaded from: its two CloudFront distributions, whose names AWS gives where
 * it lists what a firewall has to let through (EKS Anywhere, "Requirements: domains").
 */
export const PUBLIC_LAYER_HOSTS: readonly string[] = [
  'd2glxqk2uabbnd.cloudfront.net',
  'd5l0dvt14r5h8.cloudfront.net',
]
