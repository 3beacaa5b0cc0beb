import { createHash } from 'node:crypto'
import { startMirror, authorization, type MirrorUnderTest } from '../../support/mirror.js'
import type { Test } from 'tap'
import { NUMBER, UPLOAD } from './canonical.js'

/** What follows the request line of each valid request. */
export const HEAD = `Host: m\r\nAuthorization: ${authorization}\r\n`

const MANIFEST = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: descriptor('{}'),
  layers: [descriptor('layer')],
}

/** A manifest that the far side of `hostileMirror` takes. */
export const MANIFEST_BYTES = JSON.stringify(MANIFEST)

export const LAYER_DIGEST = MANIFEST.layers[0]?.digest ?? ''

function descriptor(content: string): { mediaType: string; digest: string; size: number } {
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  return { mediaType: 'application/octet-stream', digest, size: content.length }
}

/** A mirror that lets its user do everything, and whose far side has what the valid requests are about. */
export async function hostileMirror(t: Test): Promise<MirrorUnderTest> {
  const mirror = await startMirror(t, {
    logLevel: 'error',
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    settings: {
      policy: [{ principals: ['*'], repositories: ['**'], actions: ['pull', 'push', 'delete', 'catalog'] }],
    },
  })
  await mirror.ecr.putBlob('team/app', '{}')
  await mirror.ecr.putBlob('team/app', 'layer')
  await mirror.ecr.putImage('team/app', 'v1')
  return mirror
}

const TYPE = `Content-Type: ${MANIFEST.mediaType}\r\n`

/** A request about a tag that no other request is about; `letter` tells several of one attack apart. */
export const get = (letter = 'a', more = '', method = 'GET'): string =>
  `${method} /v2/team/app/manifests/${NUMBER}${letter} HTTP/1.1\r\n${HEAD}${more}\r\n`

export const put = (letter = 'a', more = ''): string =>
  `PUT /v2/team/app/manifests/${NUMBER}${letter} HTTP/1.1\r\n${HEAD}${TYPE}${more}Content-Length: ${MANIFEST_BYTES.length}\r\n\r\n${MANIFEST_BYTES}`

export const chunked = (body: string): string =>
  `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

/** Valid requests of every kind, some with others behind them on the same connection. */
export const VALID: readonly string[] = [
  get(),
  get('a', 'Accept: application/vnd.oci.image.manifest.v1+json, */*\r\n', 'HEAD'),
  get('a', '', 'DELETE'),
  get('a', 'Connection: keep-alive\r\n') + get('b', 'Connection: close\r\n'),
  put(),
  put('a', 'Expect: 100-continue\r\n') + get('b'),
  `PUT /v2/team/app/manifests/${NUMBER}a HTTP/1.1\r\n${HEAD}${TYPE}${chunked(MANIFEST_BYTES)}${get('b')}`,
  `POST /v2/team/${NUMBER}/blobs/uploads/ HTTP/1.1\r\n${HEAD}Content-Length: 0\r\n\r\n${get('b')}`,
  `POST /v2/team/${NUMBER}/blobs/uploads/?digest=${LAYER_DIGEST} HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nlayer${get('b')}`,
  `POST /v2/team/${NUMBER}/blobs/uploads/?digest=${LAYER_DIGEST} HTTP/1.1\r\n${HEAD}${chunked('layer')}${get('b')}`,
  `PATCH ${UPLOAD} HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nlayer${get('b')}`,
  `PATCH ${UPLOAD} HTTP/1.1\r\n${HEAD}${chunked('layer')}${get('b')}`,
  `GET /v2/team/app/tags/list?n=2 HTTP/1.1\r\n${HEAD}\r\n`,
  `GET /v2/team/app/blobs/${LAYER_DIGEST} HTTP/1.1\r\n${HEAD}Range: bytes=0-1\r\n\r\n${get('b')}`,
  `HEAD /v2/team/app/blobs/${LAYER_DIGEST} HTTP/1.1\r\n${HEAD}\r\n${get('b')}`,
  `GET /v2/ HTTP/1.0\r\n${HEAD}Connection: keep-alive\r\n\r\n${get('b')}`,
]
