/** Keys and list positions from the top of the configuration to a value. */
export type Path = readonly (string | number)[]

/** One source of settings: the file, the environment or the flags. */
export interface Layer {
  /** Plain data, of any shape: nothing in it is checked yet. */
  readonly data: unknown
  /** Where the value at `path`, or with `key` the key itself, was written: `mirror.yaml:3:16`, `ECR_MIRROR_LISTEN`. */
  locate(path: Path, key?: string): string
  /** What was written for the value, where that may differ from what was understood. */
  writtenAt?(path: Path): string | undefined
  /** The directory that its relative paths start from. */
  readonly directory: string
}

/** The higher over the lower: mappings are merged key by key, everything else is replaced as a whole. */
export function overlay(lower: unknown, higher: unknown): unknown {
  if (!isMapping(lower) || !isMapping(higher)) return higher === undefined ? lower : higher
  const keys = new Set([...Object.keys(lower), ...Object.keys(higher)])
  // fromEntries defines its keys, so that `__proto__` is a key like any other.
  return Object.fromEntries(
    [...keys].map(key => [key, overlay(valueAt(lower, [key]), valueAt(higher, [key]))]),
  )
}

/** The layer that had the last word on `path`; where none has it, the one that comes nearest. */
export function layerOf(layers: readonly [Layer, ...Layer[]], path: Path): Layer {
  let best = layers[0]
  for (const layer of layers) {
    if (depth(layer.data, path) >= depth(best.data, path) && depth(layer.data, path) > 0) best = layer
  }
  return best
}

/** How many steps of `path` exist in `data`. */
function depth(data: unknown, path: Path): number {
  let steps = path.length
  while (steps > 0 && valueAt(data, path.slice(0, steps)) === undefined) steps--
  return steps
}

/** The value at `path`, or undefined. */
export function valueAt(data: unknown, path: Path): unknown {
  let value = data
  for (const key of path) {
    if (Array.isArray(value)) value = typeof key === 'number' ? (value[key] as unknown) : undefined
    else if (isMapping(value) && Object.hasOwn(value, key)) value = value[key]
    else return undefined
  }
  return value
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A path as people write it: `upstreams[0].host`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? key : `${text}.${key}`
  }, '')
}
