import { readFileSync } from 'node:fs'
import type { Runtime } from 'node:inspector'
import { SourceMap } from 'node:module'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Whose code a function is. */
export type Owner = 'mirror' | 'test' | 'package' | 'node'

export interface Location {
  readonly owner: Owner
  /** Such as `src/oci/digest.ts:12 parseDigest`. */
  readonly text: string
}

/** Where test/all.ts and test:stalls put the compiled tree. */
const STAGED = /^\.tap\/[^/]+\//
const INLINE = /\/\/# sourceMappingURL=data:application\/json;base64,([\w+/=]+)\s*$/

/** Tells where functions stand in the sources of the tree that has its root there. */
export class Locator {
  readonly #root: string
  readonly #maps = new Map<string, SourceMap | undefined>()

  constructor(root: string) {
    this.#root = root
  }

  /** Undefined for what is no function of a file: garbage collection, native code, being idle. */
  locate({ functionName, url, lineNumber, columnNumber }: Runtime.CallFrame): Location | undefined {
    if (url === '') return undefined
    const name = functionName === '' ? '(anonymous)' : functionName
    if (!url.startsWith('file:')) return { owner: 'node', text: `${url} ${name}` }
    const origin = this.#mapOf(url)?.findEntry(lineNumber, columnNumber)
    const isMapped = origin !== undefined && 'originalSource' in origin
    const file = fileURLToPath(isMapped ? new URL(origin.originalSource, url) : url)
    const path = relative(this.#root, file).replace(STAGED, '')
    const line = (isMapped ? origin.originalLine : lineNumber) + 1
    return { owner: ownerOf(path), text: `${path}:${line} ${name}` }
  }

  #mapOf(url: string): SourceMap | undefined {
    if (!this.#maps.has(url)) this.#maps.set(url, readMap(fileURLToPath(url)))
    return this.#maps.get(url)
  }
}

function ownerOf(path: string): Owner {
  if (path.includes('node_modules/')) return 'package'
  if (path.startsWith('src/') || path.startsWith('dist/')) return 'mirror'
  return 'test'
}

function readMap(file: string): SourceMap | undefined {
  try {
    const [, inline] = INLINE.exec(readFileSync(file, 'latin1')) ?? []
    const json =
      inline === undefined ? readFileSync(`${file}.map`, 'utf8') : Buffer.from(inline, 'base64').toString()
    return new SourceMap(JSON.parse(json) as ConstructorParameters<typeof SourceMap>[0])
  } catch {
    return undefined
  }
}
