/** A module whose every decision counts, and the unit test that has to notice when one is changed. */
export interface GuardedModule {
  readonly source: string
  readonly test: string
}

/** Who is let in, what a request means, where connections go and which bytes are the right ones. */
export const GUARDED: readonly GuardedModule[] = [
  'registry/gate',
  'oci/endpoint',
  'oci/reference',
  'oci/digest',
  'access/policy',
  'access/pattern',
  'access/password-check',
  'upstream/egress',
  'upstream/redirect-rules',
  'registry/upload-session',
].map(name => ({ source: `src/${name}.ts`, test: `test/${name}.test.ts` }))

/** Those with one of these texts in their path; all where there are none. */
export function chosen(texts: readonly string[]): readonly GuardedModule[] {
  const found = GUARDED.filter(
    ({ source }) => texts.length === 0 || texts.some(text => source.includes(text)),
  )
  if (found.length === 0) throw new Error(`No guarded module has ${texts.join(' or ')} in its path.`)
  return found
}
