import type { Ecr } from './ecr.js'

/** How a mirror reaches the stand-in: the settings of an upstream, besides its name and host. */
export function reachOf({ url, s3Host }: Pick<Ecr, 'url' | 's3Host'>): {
  endpoint: string
  apiEndpoint: string
  redirectHosts: string[]
} {
  return { endpoint: url, apiEndpoint: url, redirectHosts: [s3Host] }
}
