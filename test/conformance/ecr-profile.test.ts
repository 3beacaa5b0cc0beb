import t from 'tap'
import { startEcr } from '../ecr/ecr.js'
import { failing, runCases } from './case.js'
import { CASES } from './cases.js'
import { lost, report, runMirrored } from './mirrored.js'

/** What ECR gets wrong and the mirror sets right. */
const SET_RIGHT = [
  'chunks: DELETE cancels an upload between chunks',
  'chunks: GET of an upload between chunks says how far it is',
  'chunks: GET of an upload is 204 with its Location',
  'chunks: a chunk sent again is 416, and the upload goes on',
  'chunks: a chunk too far ahead is 416, and the upload goes on',
  'chunks: a last chunk out of order in the PUT is 416, and the upload goes on',
  'chunks: another digest is 400, and nothing is there',
  'chunks: every PATCH is 202, its Range is what has come so far, and PUT ends it',
  'chunks: the first chunk is accepted with 202 and a Location',
  'chunks: the last chunk comes with the PUT',
  'errors: UNAUTHORIZED with wrong credentials',
  'errors: UNAUTHORIZED without credentials',
  'errors: a name that is too long is 400 or 404',
  'errors: a name with capitals is 400 or 404',
  'manifests: one that is too large is 413',
  'manifests: what is no manifest is 400 MANIFEST_INVALID',
  'pull: GET of a blob says its digest',
  'pull: GET of a manifest by digest says its digest',
  'pull: GET of a manifest by tag says its digest',
  'push: another digest after a streamed PATCH is 400, and nothing is there',
  'push: one PATCH in a stream of unknown length',
  'push: one PATCH with a Content-Length',
  'tags: an n larger than any page is no error',
  'tags: are in lexical order',
  'tags: are listed as JSON',
  'tags: last begins after a tag',
  'tags: last begins after a tag that is not there',
  'tags: n and last give a page',
  'tags: n limits them to the first',
  'tags: n=0 gives none, and no Link',
  'tags: the last of a page leads to the next',
]

/** What ECR cannot do or has its own words for; the mirror neither feigns it nor puts other words in their place. */
const BEYOND_ECR = [
  'chunks: sha512: in chunks',
  'delete: of a blob is 202, and it is gone',
  'delete: of a blob that is not there is 404',
  'manifests: by digest with several tags',
  'manifests: sha512: HEAD by tag and by digest agree with what was pushed',
  'manifests: sha512: by digest',
  'mount: a blob is mounted with 201',
  'mount: a mounted blob is not taken away with its source',
  'push: a blob can be pulled as soon as it is pushed',
  'push: one POST is enough',
  'push: sha512: POST then PUT',
  'push: sha512: a streamed PATCH',
  'push: sha512: one POST, or the PUT it falls back to',
  'push: sha512: the answers say the digest',
  'range: bytes=500-0 is 416',
  'referrers: a push by tag with a subject is answered with OCI-Subject',
  'referrers: a push with a subject is answered with OCI-Subject',
  'referrers: an artifactType filters them, and the answer says so',
  'referrers: an artifactType that nothing has leaves none',
]

t.test('the mirror makes of ECR as much of a registry of the specification as ECR can be', async t => {
  // loopbackHost lets the cases go straight to it; a push creates its repository.
  const ecr = await startEcr({ knobs: { loopbackHost: true, createOnPush: [''] } })
  t.teardown(() => ecr.close())
  const authorization = `Basic ${ecr.token().authorizationToken}`
  const straight = await runCases(CASES, { url: ecr.url, authorization })
  const mirrored = await runMirrored(t, ecr)
  report(t, 'straight', straight)
  report(t, 'mirrored', mirrored)
  t.strictSame(failing(mirrored), BEYOND_ECR, 'what fails through the mirror')
  t.strictSame(failing(straight), [...BEYOND_ECR, ...SET_RIGHT].sort(), 'what fails straight')
  t.strictSame(lost(straight, mirrored), [], 'the mirror loses none')
})
