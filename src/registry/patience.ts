/**
 * How long, in milliseconds, a request may wait for its turn and be tried again before its answer begins.
 * containerd gives up on headers after 30 s; the contract promises a blob's within 10 s.
 */
export const PATIENCE = { blob: 8_000, read: 15_000, write: 25_000 } as const
