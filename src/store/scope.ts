/** A repository of a registry, as the upstream knows both. */
export interface Scope {
  /** The registry, as the credentials that it is asked with see it. */
  readonly registry: string
  readonly repository: string
}

/** Structured, so that no two scopes can spell the same. */
export function scopeKey({ registry, repository }: Scope): string {
  return JSON.stringify([registry, repository])
}
