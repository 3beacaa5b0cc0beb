import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { blobEntry, indexEntry, MARKER_ENTRY, tarOf } from '../../../test/bundle/support/tar.js'
import type { Attack } from '../attack.js'
import { indexNaming, paddedImage, type MadeManifest } from '../manifests.js'

/** A small bundle of indexes in indexes, each of which names the next one as often as it can. */
export const nestedBundle: Attack = {
  name: 'S1-import',
  title: 'import of a bundle of 248 KB, four indexes in one another',
  seconds: 12,
  prepare: async stage => {
    const [image] = [paddedImage(300)]
    const chain: MadeManifest[] = [image]
    for (let level = 0; level < 4; level++)
      chain.unshift(indexNaming(chain[0] ?? image, stage.sized({ full: 700, quick: 3 }), `level ${level}`))
    const [top] = chain
    const file = join(stage.directory, 'bundle.tar')
    const entries = chain.map(({ bytes }) => blobEntry(bytes))
    await writeFile(
      file,
      tarOf(
        MARKER_ENTRY,
        indexEntry({
          manifest: top?.bytes ?? Buffer.alloc(0),
          mediaType: top?.mediaType ?? '',
          name: 'main/attacker/app:bundle',
        }),
        ...entries,
      ),
    )
    return async signal => {
      const imported = await stage.command(['import', file], signal)
      await stage.command(['images'], signal)
      return [{ name: 'bundles that were taken', value: Number(imported), unit: '' }]
    }
  },
}
