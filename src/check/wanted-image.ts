import type { ImageName } from '../oci/image-name.js'
import { OciError } from '../oci/error.js'
import { parseRepository } from '../oci/reference.js'
import { createUpstreamTable } from '../upstream/upstream-table.js'
import type { Upstream } from '../upstream/upstream.js'
import type { Wanted } from './sample.js'

/** An image, and the registry that it is of. */
export interface WantedImage {
  readonly upstream: Upstream
  readonly image: Wanted
}

/** Which upstream's an image is, as clients name it; or why none's. */
export function wantedImage(
  { name, reference }: ImageName,
  upstreams: readonly Upstream[],
): WantedImage | { readonly why: string } {
  const selected = createUpstreamTable(upstreams).select({ name })
  if (selected instanceof OciError) return { why: selected.message }
  const { upstream, repository } = selected
  if (!repository) return { why: `${name} names a registry and no repository` }
  const { repositoryPrefix } = upstream
  const prefixed = parseRepository(repositoryPrefix === '' ? repository : `${repositoryPrefix}/${repository}`)
  return prefixed
    ? { upstream, image: { repository: prefixed, reference } }
    : { why: `${name} is too long a name with repositoryPrefix before it` }
}
