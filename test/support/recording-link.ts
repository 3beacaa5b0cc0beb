import type { Test } from 'tap'
import { startLink } from './link.js'

/** A way to a server on which every byte that goes there is written down. */
export interface RecordingLink {
  /** host:port to connect to instead. */
  readonly host: string
  /** All that went to the server so far, as latin1. */
  sent(): string
}

export async function startRecordingLink(t: Test, target: string): Promise<RecordingLink> {
  const chunks: Buffer[] = []
  const { url } = await startLink(t, target, chunk => chunks.push(chunk))
  return {
    host: `localhost:${new URL(url).port}`,
    sent: () => Buffer.concat(chunks).toString('latin1'),
  }
}
