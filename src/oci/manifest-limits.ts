/** How deep the objects and arrays of a manifest may lie in one another. Those of the image-spec need five. */
export const MAX_MANIFEST_DEPTH = 64

/**
 * The most descriptors (children, layers and blobs together) that a manifest may have to be understood. Docker images
 * have at most 127 layers, and the largest indexes in use some hundreds of entries; what is done for each one, such as
 * a line in a journal, takes some tens of milliseconds for so many.
 */
export const MAX_DESCRIPTORS = 10_000

/**
 * The most members of objects and elements of arrays that a manifest may have to be understood: each descriptor may have a
 * type, a digest, a size and a platform. Parsing so many takes 10 ms, or 40 ms when all have different names, during which
 * nobody else is answered; 4 MiB have room for two million.
 */
export const MAX_VALUES = 75_000
