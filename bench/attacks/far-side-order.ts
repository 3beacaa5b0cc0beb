import type { KnobSettings } from '../../test/ecr/knobs.js'
import type { Manifest, SeededImage } from '../../test/ecr/ecr.js'

/** What the far side is told, each with what it answers. */
export interface Orders {
  readonly image: {
    readonly of: { readonly repository: string; readonly tag: string; readonly layer: number }
    readonly gives: SeededImage
  }
  /** `bytes` is refused, with an error, when it is no JSON object. */
  readonly manifest: {
    readonly of: {
      readonly repository: string
      readonly tag: string | undefined
      readonly bytes: Uint8Array
      readonly mediaType: string
    }
    readonly gives: Manifest
  }
  readonly repository: { readonly of: { readonly name: string }; readonly gives: undefined }
  readonly knobs: { readonly of: KnobSettings; readonly gives: undefined }
}

export type OrderName = keyof Orders

/** An order with its number, which its answer has too. */
export type NumberedOrder = {
  [Name in OrderName]: { readonly number: number; readonly name: Name; readonly of: Orders[Name]['of'] }
}[OrderName]

export interface OrderAnswer {
  readonly number: number
  readonly gives?: unknown
  readonly error?: string
}

/** What it says when it is up. */
export interface Reach {
  readonly url: string
  readonly s3Host: string
  readonly host: string
}
