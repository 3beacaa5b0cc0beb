/** Media types of manifests (image-spec, "media types"; Docker's "Image Manifest Version 2, Schema 2"). */
export const MANIFEST_MEDIA_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const

/**
 * The largest manifest that is taken, in bytes. The distribution-spec asks for at least 4 MB; ECR's own limit
 * (ImageManifest in the PutImage API) is 4 MiB.
 */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024
