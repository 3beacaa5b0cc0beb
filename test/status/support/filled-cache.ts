import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseDigest, type Digest } from '../../../src/oci/digest.js'
import { createJournal } from '../../../src/store/journal.js'
import { layoutOf } from '../../../src/store/layout.js'
import { openMembership } from '../../../src/store/membership.js'
import { openTagCache } from '../../../src/store/tag-cache.js'

const TYPE = 'application/vnd.oci.image.manifest.v1+json'
const DAY = 86_400_000

/** A cache directory as pulls of so many images through an upstream of this host leave it; layers are a few bytes. */
export async function fillCache(directory: string, registry: string, images: number): Promise<void> {
  const layout = layoutOf(directory)
  const placed = new Set<Digest>()
  const put = (bytes: Buffer): Digest => {
    const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)!
    if (placed.has(digest)) return digest
    placed.add(digest)
    mkdirSync(dirname(layout.blob(digest)), { recursive: true })
    writeFileSync(layout.blob(digest), bytes)
    return digest
  }
  mkdirSync(layout.root, { recursive: true })
  const validity = { ttl: DAY, staleFor: DAY }
  const onTrouble = (error: unknown): never => {
    throw error
  }
  const tags = await openTagCache({ ...validity, journal: createJournal({ file: layout.tags, onTrouble }) })
  const membership = await openMembership({
    ...validity,
    journal: createJournal({ file: layout.membership, onTrouble }),
  })
  for (let count = 0; count < images; count++) {
    const scope = { registry, repository: `team-${count % 40}/service-${count % 1_000}` }
    const config = Buffer.from(JSON.stringify({ architecture: 'arm64', os: 'linux', team: count % 40 }))
    const layer = Buffer.from(`layer of team ${count % 40}`)
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        annotations: { build: String(count) },
        mediaType: TYPE,
        config: {
          mediaType: 'application/vnd.oci.image.config.v1+json',
          digest: put(config),
          size: config.length,
        },
        layers: [
          { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: put(layer), size: layer.length },
        ],
      }),
    )
    const facts = { digest: put(manifest), mediaType: TYPE, size: manifest.length }
    tags.record(tags.mark({ scope, tag: `build-${count}` }), TYPE, facts)
    const mark = membership.mark(scope)
    membership.recordManifest(mark, facts)
    membership.record(mark, [put(config), put(layer)])
  }
  await Promise.all([tags.close(), membership.close()])
}
