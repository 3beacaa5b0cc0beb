import type { ServerResponse } from 'node:http'

const bulk = new WeakSet<ServerResponse>()

/** Says that the body of a request, or of its answer, is of a blob: however large, and not held in memory. */
export function markBulk(response: ServerResponse): void {
  bulk.add(response)
}

/** Whether it was said of this exchange. */
export function isBulk(response: ServerResponse): boolean {
  return bulk.has(response)
}
