/**
 * The classes of attacks, with how many of each the tests try: `short` on each change, `long` in `npm run test:hostile`.
 * Each class has one test file of its name.
 */
export const CLASSES = {
  H1: { file: 'framing', short: 120, long: 200_000 },
  H2: { file: 'request-line', short: 80, long: 100_000 },
  H3: { file: 'header-fields', short: 120, long: 100_000 },
  H4: { file: 'paths', short: 200, long: 300_000 },
  H5: { file: 'names', short: 150, long: 150_000 },
  H6: { file: 'queries', short: 300, long: 50_000 },
  H7: { file: 'ranges', short: 120, long: 20_000 },
  H8: { file: 'conditionals', short: 60, long: 10_000 },
  H9: { file: 'negotiation', short: 80, long: 10_000 },
  H10: { file: 'authorization-header', short: 150, long: 150_000 },
  H11: { file: 'login-floods', short: 6, long: 6 },
  H12: { file: 'upload-sessions', short: 300, long: 20_000 },
  H13: { file: 'upload-bodies', short: 100, long: 3_000 },
  H14: { file: 'hostile-manifests', short: 150, long: 10_000 },
  H15: { file: 'slow-clients', short: 10, long: 10 },
  H16: { file: 'connection-floods', short: 6, long: 12 },
  H17: { file: 'redirects', short: 192, long: 3_840 },
  H18: { file: 'upstream-framing', short: 150, long: 4_000 },
  H19: { file: 'upstream-headers', short: 120, long: 4_000 },
  H20: { file: 'upstream-errors', short: 120, long: 2_000 },
  H21: { file: 'configuration', short: 120, long: 5_000 },
  H22: { file: 'poisoned-cache', short: 100, long: 1_500 },
  H23: { file: 'log-and-metric-injection', short: 60, long: 10_000 },
  H24: { file: 'clocks-names-certificates', short: 60, long: 600 },
} as const satisfies Record<string, AttackClass>

export type ClassId = keyof typeof CLASSES

interface AttackClass {
  readonly file: string
  readonly short: number
  readonly long: number
}
