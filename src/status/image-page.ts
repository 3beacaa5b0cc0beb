import { z } from 'zod'
import type { ImageList, ListedImage } from './image-list.js'
import type { Wanted } from './wanted.js'

export const ORDERS = ['asked', 'size', 'name'] as const

/** Which images are wanted, as a URL's query says; what makes no sense there counts as not said. */
export const ImageQuery = z.object({
  q: z.string().max(200).catch(''),
  sort: z.enum(ORDERS).catch('asked'),
  page: z.coerce.number().int().min(1).max(100_000).catch(1),
})
export type ImageQuery = z.output<typeof ImageQuery>

export interface ImageRow extends ListedImage {
  /** How often it was asked for since the start. */
  readonly asked: number
}

/** A page of the images that one viewer may see and searched for. */
export interface ImagePage {
  readonly query: ImageQuery
  readonly rows: readonly ImageRow[]
  /** From 1 on. */
  readonly page: number
  readonly pages: number
  /** How many were found, and how many there are to be seen. */
  readonly found: number
  readonly seen: number
  /** How many there are in all, and how large, in bytes, with what several of them share counted for each. */
  readonly all: number
  readonly bytes: number
  readonly leftOut: number
  /** When they were looked at, in milliseconds since 1970. */
  readonly at: number
}

const ROWS = 25

/** `visible` is what of the list may be seen, in its order. */
export function pageOf(
  { images, leftOut, at }: ImageList,
  visible: readonly ListedImage[],
  query: ImageQuery,
  wanted: Pick<Wanted, 'times'>,
): ImagePage {
  const words = query.q.toLowerCase().split(/\s+/).filter(Boolean)
  const found = visible.filter(image => words.every(word => isIn(image, word)))
  const pages = Math.max(1, Math.ceil(found.length / ROWS))
  const page = Math.min(query.page, pages)
  return {
    query,
    rows: inOrder(found, query.sort, wanted)
      .slice((page - 1) * ROWS, page * ROWS)
      .map(image => ({ ...image, asked: wanted.times(image, image.reference) })),
    page,
    pages,
    found: found.length,
    seen: visible.length,
    all: images.length + leftOut,
    bytes: images.reduce((sum, { size }) => sum + size, 0),
    leftOut,
    at,
  }
}

function isIn({ name, digest, platforms }: ListedImage, word: string): boolean {
  return name.includes(word) || digest.includes(word) || platforms.some(platform => platform.includes(word))
}

function inOrder(
  images: readonly ListedImage[],
  order: ImageQuery['sort'],
  wanted: Pick<Wanted, 'times'>,
): readonly ListedImage[] {
  // They come the largest first.
  if (order === 'size') return images
  if (order === 'name') return images.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return images
    .map(image => ({ image, times: wanted.times(image, image.reference) }))
    .sort((a, b) => b.times - a.times)
    .map(({ image }) => image)
}
