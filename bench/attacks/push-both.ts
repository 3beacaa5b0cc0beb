import type { MadeManifest } from './manifests.js'
import type { Stage } from './stage.js'

/** Pushes a manifest through the mirror, and straight to ECR where the mirror refuses it, as its attacker could as well. */
export async function pushBoth(
  stage: Stage,
  repository: string,
  tag: string,
  { bytes, mediaType }: MadeManifest,
  signal = AbortSignal.timeout(20_000),
): Promise<boolean> {
  const pushed = await stage.ask(
    'PUT',
    `/v2/${repository}/manifests/${tag}`,
    { as: 'attacker', headers: { 'content-type': mediaType }, body: bytes },
    signal,
  )
  if (pushed?.status === 201) return true
  return stage.farSide.tell('manifest', { repository, tag, bytes, mediaType }).then(
    () => true,
    () => false,
  )
}
