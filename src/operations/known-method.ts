import { METHODS } from '../oci/endpoint.js'

const METHODS_OF_THE_API: ReadonlySet<string> = new Set(Object.values(METHODS).flat())

/** The method if some endpoint has it; whatever else clients send is theirs to choose, and no name of anything. */
export function knownMethod(method: string): string | undefined {
  return METHODS_OF_THE_API.has(method) ? method : undefined
}
