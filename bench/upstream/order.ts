import type { Blob, Document } from '../content.js'

/** In bytes per second; left out: as fast as it goes. */
export interface Limits {
  /** Of each connection, as S3 has one in practice. */
  readonly connection?: number
  /** Of all connections together. */
  readonly total?: number
}

/** What the benchmark tells its upstream. */
export type Order =
  | { readonly do: 'add'; readonly blobs: readonly Blob[] }
  | { readonly do: 'tag'; readonly tag: string | undefined; readonly documents: readonly Document[] }
  | { readonly do: 'limit'; readonly limits: Limits }
  | { readonly do: 'count' }

/** Every order has an answer, with the same number. */
export interface NumberedOrder {
  readonly number: number
  readonly order: Order
}

export interface Answer {
  readonly number: number
  /** Bytes of blobs sent so far. */
  readonly sentBytes: number
}

export interface Started {
  readonly port: number
  readonly openPort: number
  readonly s3Port: number
}

/**
 * The blobs' host, of another address than the registry's: clients send a password along where only the port differs.
 * All of 127.0.0.0/8 is the loopback on Linux.
 */
export const S3_ADDRESS = '127.0.0.2'

/** `AWS:` and the password that the upstream takes, in base64: an ECR token. */
export const PASSWORD = 'a-token-of-the-benchmark'
export const TOKEN = Buffer.from(`AWS:${PASSWORD}`).toString('base64')
