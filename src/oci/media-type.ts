/**
 * The largest manifest that is taken, in bytes. The distribution-spec asks for at least 4 MB; ECR's own limit
 * (ImageManifest in the PutImage API) is 4 MiB.
 */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024
