import t from 'tap'
import { startEcr } from '../ecr/ecr.js'
import { passing, runCases } from './case.js'
import { CASES } from './cases.js'
import { findDistribution, startDistribution } from './distribution.js'
import { lost, report, runMirrored } from './mirrored.js'

/** What distribution 2.8 gets wrong; the mirror sees to it whatever its upstream does. */
const SET_RIGHT = [
  'chunks: a chunk sent again is 416, and the upload goes on',
  'chunks: a chunk too far ahead is 416, and the upload goes on',
  'chunks: a last chunk out of order in the PUT is 416, and the upload goes on',
  'errors: BLOB_UPLOAD_UNKNOWN',
  'errors: a manifest by a digest that is none is 400 or 404',
  'errors: a name that is too long is 400 or 404',
  'manifests: a digest that is none is 400',
  'manifests: one that is too large is 413',
  'push: an algorithm that nobody knows is 400',
  'push: sha512: the answers say the digest',
  'referrers: of what is no digest are 400',
  'tags: are in lexical order',
  'tags: n=0 gives none, and no Link',
]

const binary = findDistribution()

t.test(
  'what CNCF distribution passes, it passes behind the mirror',
  { skip: binary === undefined && 'docker-registry is not installed' },
  async t => {
    // Only its token API is used here. bcrypt takes 72 bytes of a password at most.
    const ecr = await startEcr({ knobs: { tokenSize: 64 } })
    t.teardown(() => ecr.close())
    const { authorizationToken, password, expiresAt } = ecr.token()
    const authorizationData = [
      { authorizationToken, expiresAt: expiresAt / 1000, proxyEndpoint: `https://${ecr.host}` },
    ]
    const headers = { 'content-type': 'application/x-amz-json-1.1' }
    ecr.knobs.answer.GetAuthorizationToken = [
      { status: 200, headers, body: JSON.stringify({ authorizationData }), times: 10 },
    ]
    const url = await startDistribution(t, binary ?? '', { name: 'AWS', password })

    const straight = await runCases(CASES, { url, authorization: `Basic ${authorizationToken}` })
    const mirrored = await runMirrored(t, ecr, { endpoint: url })
    report(t, 'straight', straight)
    report(t, 'mirrored', mirrored)
    t.ok(passing(straight).length > CASES.length / 2, 'distribution passes most of the cases')
    t.strictSame(lost(straight, mirrored), [], 'the mirror loses none')
    t.strictSame(
      SET_RIGHT.filter(name => mirrored.get(name) !== undefined),
      [],
      'the mirror sets these right',
    )
  },
)
