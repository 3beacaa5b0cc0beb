import { parseImageName, type ImageName } from '../oci/image-name.js'
import { BundleRefused } from './bundle-refused.js'
import type { NamedManifest } from './layout.js'

/** How names in a bundle become names on this mirror. */
export interface Renaming {
  /** Whole names by those in the bundle; under '' the one for the only image. */
  readonly names: ReadonlyMap<string, string>
  /** In place of the upstream's name, which is what stands before the first slash. */
  readonly upstream: string | undefined
}

/** The name that an image of a bundle is to have here. Throws BundleRefused when it has none that could be. */
export function restoredName(
  { name, digest }: NamedManifest,
  { names, upstream }: Renaming,
  isOnly: boolean,
): { readonly text: string; readonly image: ImageName } {
  const given = names.get(name ?? '') ?? names.get(digest) ?? (isOnly ? names.get('') : undefined)
  const text = given ?? (name === undefined ? undefined : underUpstream(name, upstream))
  if (text === undefined)
    throw new BundleRefused(
      `the bundle has no name for ${digest}; ${isOnly ? 'give it one with --name main/team/app:1.0' : `give it one with --name ${digest}=main/team/app:1.0`}`,
    )
  const image = parseImageName(text)
  if (image && text.includes('/')) return { text, image }
  throw new BundleRefused(
    `the bundle calls an image ${JSON.stringify(text)}, which does not say of which upstream and repository it is; give it a name with --name ${isOnly ? '' : `${text}=`}main/team/app:1.0`,
  )
}

function underUpstream(name: string, upstream: string | undefined): string {
  return upstream === undefined ? name : `${upstream}/${name.slice(name.indexOf('/') + 1)}`
}
