export type JsonObject = Record<string, unknown>

export interface ManifestFacts {
  readonly mediaType: string | undefined
  /** The config and the layers, without foreign layers. */
  readonly blobs: readonly string[]
  /** The manifests of an index. */
  readonly children: readonly string[]
  readonly subject: string | undefined
  readonly artifactType: string | undefined
  readonly annotations: JsonObject | undefined
}

/** What a manifest says about others; undefined when it is not a JSON object. */
export function factsOf(bytes: Buffer): ManifestFacts | undefined {
  const manifest = parseObject(bytes.toString('utf8'))
  if (!manifest) return undefined
  const config = asObject(manifest['config'])
  const layers = objects(manifest['layers']).filter(layer => layer['urls'] === undefined)
  const legacy = objects(manifest['fsLayers']).map(layer => asText(layer['blobSum']))
  return {
    mediaType: asText(manifest['mediaType']),
    blobs: present([asText(config?.['digest']), ...layers.map(layer => asText(layer['digest'])), ...legacy]),
    children: present(objects(manifest['manifests']).map(child => asText(child['digest']))),
    subject: asText(asObject(manifest['subject'])?.['digest']),
    artifactType: asText(manifest['artifactType']) ?? asText(config?.['mediaType']),
    annotations: asObject(manifest['annotations']),
  }
}

export function parseObject(text: string): JsonObject | undefined {
  try {
    return asObject(JSON.parse(text))
  } catch {
    return undefined
  }
}

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined
}

export function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

export function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? present(value.map(asObject)) : []
}

export function present<T>(values: readonly (T | undefined)[]): T[] {
  return values.filter(value => value !== undefined)
}
