/**
 * The largest manifest that is taken, in bytes. The distribution-spec asks for at least 4 MB; ECR's own limit
 * (ImageManifest in the PutImage API) is 4 MiB.
 */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024

/** JSON of any name, and signed manifests of Docker's first schema. What a browser shows as a page is none of these. */
const MANIFEST_TYPE =
  /^application\/(?:json|[\w.+-]+\+(?:json|prettyjws)|vnd\.(?:docker|oci)\.[\w.+-]+)(?:\s*;[\x20-\x7e]*)?$/i

/** Whether a Content-Type is one that a manifest can have. */
export function isManifestType(contentType: string): boolean {
  return MANIFEST_TYPE.test(contentType)
}
