import type { Action, Knobs, PerAction } from './knobs.js'

/** Requests per second, per account and region (AWS: "Amazon ECR service quotas"). */
export const AWS_QUOTAS: PerAction<number> = {
  GetAuthorizationToken: 500,
  BatchCheckLayerAvailability: 1000,
  BatchGetImage: 2000,
  GetDownloadUrlForLayer: 3000,
  InitiateLayerUpload: 100,
  UploadLayerPart: 500,
  CompleteLayerUpload: 100,
  PutImage: 10,
}

/** Token buckets, one second deep, by whatever key. */
export class Quotas {
  readonly #buckets = new Map<string, { level: number; at: number }>()

  /** Takes one request out of the bucket; false when it is empty. */
  take(key: string, rate: number): boolean {
    const now = performance.now()
    const bucket = this.#buckets.get(key) ?? { level: Math.max(rate, 1), at: now }
    bucket.level = Math.min(Math.max(rate, 1), bucket.level + ((now - bucket.at) / 1000) * rate)
    bucket.at = now
    this.#buckets.set(key, bucket)
    if (bucket.level < 1) return false
    bucket.level -= 1
    return true
  }

  /** Whether the knobs' throttles and quotas let one more request for the action through. */
  allow(knobs: Knobs, action: Action, account: string): boolean {
    const throttle = knobs.throttle[action]
    if (throttle && 'next' in throttle && throttle.next > 0) {
      throttle.next -= 1
      return false
    }
    if (throttle && 'rate' in throttle && !this.take(`throttle ${action}`, throttle.rate)) return false
    const quotas = knobs.quotas === 'aws' ? AWS_QUOTAS : knobs.quotas === 'off' ? {} : knobs.quotas
    const rate = quotas[action]
    return rate === undefined || this.take(`${account} ${action}`, rate)
  }
}
