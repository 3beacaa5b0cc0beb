import { digestCheck } from '../oci/digest.js'
import { refusalOf } from '../upstream/dialect.js'
import { RedirectRefused } from '../upstream/blob-source.js'
import type { Upstream } from '../upstream/upstream.js'
import { failureOf, wordsOf } from './failure.js'
import { failed, ok, skipped, type Finding } from './finding.js'
import { findSample, sampleOf, type Sample, type Wanted } from './sample.js'

/** Blobs up to this many bytes are read whole, of larger ones the first byte. */
const SMALL = 1024 * 1024

const REACH_S3 =
  'layers come from S3: check the S3 gateway endpoint (com.amazonaws.<region>.s3) and its policy, routes and security groups, or HTTPS_PROXY'

/**
 * Whether the bytes of a blob can be had where the registry redirects. `wanted` is an image to try with; without one
 * the registry's listings give it.
 */
export async function checkRedirect(
  upstream: Upstream,
  wanted: Wanted | undefined,
  signal: AbortSignal,
): Promise<Finding> {
  const name = nameOfRedirect(upstream)
  let sample: Sample | undefined
  try {
    const found = wanted ? await sampleOf(upstream, wanted, signal) : await findSample(upstream, signal)
    if ('why' in found) {
      return wanted
        ? failed(name, found.why, 'check the name given with --image, and whether the role may pull it')
        : skipped(name, found.why)
    }
    sample = found
    return await readSample(name, upstream, found, signal)
  } catch (error) {
    return explain(name, signal.aborted ? signal.reason : error, sample)
  }
}

export function nameOfRedirect({ name }: Upstream): string {
  return `redirect of ${name}`
}

async function readSample(
  name: string,
  upstream: Upstream,
  { repository, blob: { digest, size } }: Sample,
  signal: AbortSignal,
): Promise<Finding> {
  const began = performance.now()
  const whole = size !== undefined && size > 0 && size <= SMALL
  const opened = await upstream.blobs.open(
    repository,
    digest,
    whole ? undefined : { first: 0, last: 0 },
    signal,
  )
  if ('statusCode' in opened) {
    const about = { action: 'GetDownloadUrlForLayer', upstream: upstream.name, repository } as const
    const { message } = await refusalOf(opened, about)
    return failed(
      name,
      message,
      'allow ecr:GetDownloadUrlForLayer for that repository (README, AWS permissions)',
    )
  }
  const check = digestCheck(digest)
  let length = 0
  for await (const chunk of opened.body as AsyncIterable<Buffer>) {
    check.update(chunk)
    length += chunk.length
    // A storage that knows no ranges sends all of it.
    if (!whole) break
  }
  const ms = Math.round(performance.now() - began)
  const of = `${digest.slice(0, 'sha256:'.length + 12)}… of ${repository}`
  if (!whole) return ok(name, `first byte of ${of} in ${ms} ms`)
  if (check.matches()) return ok(name, `${length} bytes of ${of} in ${ms} ms, digest right`)
  return failed(
    name,
    `${of} came with other bytes than its digest says`,
    'something on the way changes what passes: look at proxies, and at redirectHosts',
  )
}

function explain(name: string, error: unknown, sample: Sample | undefined): Finding {
  if (error instanceof RedirectRefused)
    return failed(
      name,
      `the registry redirects to ${error.host}, which is not among redirectHosts`,
      `if that host is meant, add it to redirectHosts of this upstream: ["${error.host}"]`,
    )
  const { kind, detail } = failureOf(error)
  if (!sample)
    return failed(
      name,
      `no image could be looked for: ${wordsOf(error)}`,
      'see what is said of the upstream; or name an image with --image',
    )
  if (kind === 'internal')
    return failed(
      name,
      'the host of the layer storage leads to an internal address, to which nothing connects unasked',
      'if it is meant (a gateway of your own), list exactly that host in redirectHosts',
    )
  if (kind === 'certificate')
    return failed(
      name,
      `the TLS certificate of the layer storage is not trusted: ${detail}`,
      'a proxy that intercepts: give its authority in NODE_EXTRA_CA_CERTS',
    )
  if (kind === 'other') return failed(name, wordsOf(error), REACH_S3)
  return failed(name, `the layer storage (S3) cannot be reached: ${detail}`, REACH_S3)
}
