import type { FastifyReply } from 'fastify'
import type { Digest } from '../oci/digest.js'
import type { Repository } from '../oci/reference.js'
import { discard } from '../upstream/discard.js'
import type { Answer } from '../upstream/send.js'
import { passedOn } from '../upstream/headers.js'
import { API_VERSION } from './errors.js'

/** 201 for content that can be pulled from here on, under a path of the mirror's own. */
export function sendCreated(
  reply: FastifyReply,
  name: Repository,
  kind: 'blobs' | 'manifests',
  digest: Digest,
  answer: Answer,
): void {
  discard(answer.body)
  void reply
    .code(201)
    .headers(API_VERSION)
    .headers(passedOn(answer.headers))
    .header('location', `/v2/${name}/${kind}/${digest}`)
    .header('docker-content-digest', digest)
    .header('content-length', '0')
    .send()
}
