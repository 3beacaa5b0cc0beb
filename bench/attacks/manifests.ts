import { createHash } from 'node:crypto'

export const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
export const INDEX = 'application/vnd.oci.image.index.v1+json'

/** The most bytes that a manifest may have: ECR's quota, and what distribution-spec asks registries to take at least. */
export const LARGEST = 4 * 1024 * 1024

export interface MadeManifest {
  readonly bytes: Buffer
  readonly mediaType: string
  readonly digest: string
}

export function made(bytes: Buffer | string, mediaType: string): MadeManifest {
  const whole = Buffer.from(bytes)
  return { bytes: whole, mediaType, digest: `sha256:${createHash('sha256').update(whole).digest('hex')}` }
}

/** An image without contents, of so many bytes. */
export function paddedImage(size: number, padding = 'x'): MadeManifest {
  const around = `{"schemaVersion":2,"mediaType":"${IMAGE}","layers":[],"annotations":{"padding":""}}`
  return made(around.replace('""', `"${padding.repeat(Math.max(0, size - around.length))}"`), IMAGE)
}

/** An index that names one manifest so many times; `note` makes it another one. */
export function indexNaming(
  { digest }: Pick<MadeManifest, 'digest'>,
  times: number,
  note = '',
): MadeManifest {
  const children = `{"digest":"${digest}"},`.repeat(times).slice(0, -1)
  const annotations = note === '' ? '' : `,"annotations":{"note":"${note}"}`
  return made(`{"schemaVersion":2,"mediaType":"${INDEX}","manifests":[${children}]${annotations}}`, INDEX)
}

/** An image with as many keys as fit into so many bytes, by turns of a few short ones. */
export function manyKeys(size: number, seed = 0): MadeManifest {
  const around = `{"schemaVersion":2,"mediaType":"${IMAGE}","layers":[],"annotations":{"seed":"${seed}"}}`
  const pair = '"k":0,'
  const count = Math.max(0, Math.floor((size - around.length) / pair.length))
  return made(
    around.replace('"seed"', () => `${pair.repeat(count)}"seed"`),
    IMAGE,
  )
}
