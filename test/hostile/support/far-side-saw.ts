import type { Ecr } from '../../ecr/ecr.js'

/**
 * What the far side's registry saw against what it should have. Attacks are under way side by side, so that the order
 * says nothing: each request is compared as its method and target, as often as it came.
 */
export class FarSideSaw {
  readonly #ecr: Ecr
  readonly #expected = new Map<string, number>()

  constructor(ecr: Ecr) {
    this.#ecr = ecr
  }

  /** Such a request has to come, once more than was said before. */
  expect(method: string, target: string): void {
    const request = `${method} ${target}`
    this.#expected.set(request, (this.#expected.get(request) ?? 0) + 1)
  }

  /** What came unexpected or did not come, since it was last asked; for when nothing is under way. */
  differences(): string[] {
    const differences: string[] = []
    for (const { at, method, url } of this.#ecr.requests) {
      if (at !== 'registry' || url === '/') continue
      const request = `${method} ${url}`
      const left = this.#expected.get(request) ?? 0
      if (left === 0) differences.push(`came unexpected: ${request}`)
      else this.#expected.set(request, left - 1)
    }
    for (const [request, left] of this.#expected) if (left > 0) differences.push(`did not come: ${request}`)
    this.#ecr.requests.length = 0
    this.#expected.clear()
    return differences
  }
}
