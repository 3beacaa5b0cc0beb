/**
 * The upstream's process: as much of ECR and of S3 as the servers under measurement need, and nothing that takes time.
 * Correctness is for the stand-in in test/ecr; this one has to send a few GiB/s beside the server that is measured.
 */
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { bytesOf, MAX_PIECE, type Blob, type Document } from '../content.js'
import { S3_ADDRESS, TOKEN, type Limits, type NumberedOrder, type Started } from './order.js'
import { Pace } from './pace.js'

const blobs = new Map<string, Blob>()
const documents = new Map<string, Document>()
/** Blobs that were pushed: their size. What was in them is forgotten. */
const pushed = new Map<string, number>()
const uploads = new Map<string, { readonly hash: ReturnType<typeof createHash>; size: number }>()
let sentBytes = 0

let limits: Limits = {}
let total: Pace | undefined
let connections = new WeakMap<Socket, Pace>()

/** Pieces as small as that let many connections share a limit evenly. */
const PACED_PIECE = MAX_PIECE / 4

function pacesOf(socket: Socket): Pace[] {
  const { connection } = limits
  if (connection !== undefined && !connections.has(socket)) connections.set(socket, new Pace(connection))
  return [connections.get(socket), total].filter(pace => pace !== undefined)
}

const registry =
  (needsLogin: boolean): RequestListener =>
  (request, response) => {
    response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
    if (request.method === 'POST' && request.url === '/') giveToken(response)
    else if (needsLogin && request.headers.authorization !== `Basic ${TOKEN}`) {
      response.setHeader('Www-Authenticate', 'Basic realm="https://registry/",service="ecr.amazonaws.com"')
      response.writeHead(401).end('Not Authorized\n')
    } else serve(request, response)
  }

/** ECR's API, where the mirror gets its token. */
function giveToken(response: ServerResponse): void {
  const authorizationData = [{ authorizationToken: TOKEN, expiresAt: Date.now() / 1000 + 12 * 3600 }]
  response.setHeader('Content-Type', 'application/x-amz-json-1.1')
  response.end(JSON.stringify({ authorizationData }))
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://registry')
  const [, kind = '', last = ''] =
    /^\/v2\/.+\/(manifests|blobs\/uploads|blobs)\/([^/]*)$/.exec(pathname) ?? []
  if (pathname === '/v2/') response.end('{}')
  else if (kind === 'manifests') sendDocument(request, response, last)
  else if (kind === 'blobs') showBlob(request, response, last)
  else if (kind === 'blobs/uploads') upload(request, response, last, searchParams.get('digest'))
  else notFound(response)
}

function sendDocument(request: IncomingMessage, response: ServerResponse, reference: string): void {
  const document = documents.get(reference)
  if (!document) {
    notFound(response)
    return
  }
  response.writeHead(200, {
    'Content-Type': document.mediaType,
    'Content-Length': document.text.length,
    ...(request.method === 'HEAD' && { 'Docker-Content-Digest': document.digest }),
  })
  response.end(document.text)
}

/** HEAD is answered here, GET is sent to S3. */
function showBlob(request: IncomingMessage, response: ServerResponse, digest: string): void {
  const size = blobs.get(digest)?.size ?? documents.get(digest)?.text.length ?? pushed.get(digest)
  if (size === undefined) {
    notFound(response)
    return
  }
  if (request.method === 'HEAD') {
    response.writeHead(200, {
      'Content-Type': 'application/vnd.docker.container.image.v1+json',
      'Content-Length': size,
      'Docker-Content-Digest': digest,
    })
    response.end()
  } else {
    response
      .writeHead(307, { Location: `http://${S3_ADDRESS}:${portOf(s3)}/${digest}`, 'Content-Length': 0 })
      .end()
  }
}

function notFound(response: ServerResponse): void {
  response.setHeader('Content-Type', 'application/json')
  response.writeHead(404).end('{"errors":[{"code":"BLOB_UNKNOWN","message":"There is none."}]}')
}

/** S3: one range, or all of it. */
const bucket: RequestListener = (request, response) => {
  const digest = (request.url ?? '').slice(1)
  const document = documents.get(digest)
  const blob = blobs.get(digest)
  if (document) return void response.setHeader('Content-Length', document.text.length).end(document.text)
  if (!blob) {
    notFound(response)
    return
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const first = Number(range?.[1] ?? 0)
  const last = Math.min(Number(range?.[2] || Infinity), blob.size - 1)
  response.writeHead(range ? 206 : 200, {
    'Content-Type': 'binary/octet-stream',
    'Content-Length': last - first + 1,
    'Accept-Ranges': 'bytes',
    ...(range && { 'Content-Range': `bytes ${first}-${last}/${blob.size}` }),
  })
  void sendBlob(response, blob, first, last, pacesOf(request.socket))
}

async function sendBlob(
  response: ServerResponse,
  blob: Blob,
  first: number,
  last: number,
  paces: readonly Pace[],
): Promise<void> {
  const most = paces.length > 0 ? PACED_PIECE : MAX_PIECE
  for (let position = first; position <= last && !response.destroyed;) {
    const piece = bytesOf(blob, position, Math.min(most, last + 1 - position))
    for (const pace of paces) await pace.take(piece.length)
    position += piece.length
    sentBytes += piece.length
    if (!response.write(piece)) await drained(response)
  }
  response.end()
}

/** Resolves when more may be written, or nobody listens any more. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}

function upload(request: IncomingMessage, response: ServerResponse, id: string, digest: string | null): void {
  if (request.method === 'POST') {
    const session = randomUUID()
    uploads.set(session, { hash: createHash('sha256'), size: 0 })
    response.writeHead(202, { Location: urlOf(request) + session, 'Content-Length': 0 }).end()
    return
  }
  const session = uploads.get(id)
  if (!session) {
    notFound(response)
    return
  }
  void (async () => {
    const paces = pacesOf(request.socket)
    for await (const chunk of request as AsyncIterable<Buffer>) {
      session.hash.update(chunk)
      session.size += chunk.length
      for (const pace of paces) await pace.take(chunk.length)
    }
    if (digest === null) {
      const headers = { Location: urlOf(request), Range: `0-${session.size - 1}`, 'Content-Length': 0 }
      response.writeHead(201, headers).end()
    } else if (`sha256:${session.hash.digest('hex')}` === digest) {
      pushed.set(digest, session.size)
      response.writeHead(201, { 'Docker-Content-Digest': digest, 'Content-Length': 0 }).end()
    } else response.writeHead(400, { 'Content-Length': 0 }).end()
    if (digest !== null) uploads.delete(id)
  })().catch(() => response.destroy())
}

/** Absolute, as ECR's are. */
function urlOf({ headers, url }: IncomingMessage): string {
  return `https://${headers.host ?? ''}${url ?? ''}`
}

function take({ order }: NumberedOrder): void {
  if (order.do === 'add') for (const blob of order.blobs) blobs.set(blob.digest, blob)
  else if (order.do === 'limit') {
    limits = order.limits
    connections = new WeakMap()
    total = limits.total === undefined ? undefined : new Pace(limits.total)
  } else if (order.do === 'tag') {
    for (const document of order.documents) documents.set(document.digest, document)
    const [manifest] = order.documents
    if (order.tag !== undefined && manifest) documents.set(order.tag, manifest)
  }
}

function portOf(server: ReturnType<typeof createServer>): number {
  return (server.address() as AddressInfo).port
}

async function listen(address: string, listener: RequestListener): Promise<ReturnType<typeof createServer>> {
  const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, listener)
  await once(server.listen(0, address), 'listening')
  return server
}

const s3 = await listen(S3_ADDRESS, bucket)
const closed = await listen('127.0.0.1', registry(true))
/** distribution's pull-through cache cannot log in with Basic, so it may come in without. */
const open = await listen('127.0.0.1', registry(false))

process.on('message', (message: NumberedOrder) => {
  take(message)
  process.send?.({ number: message.number, sentBytes })
})
process.once('disconnect', () => process.exit())
const started: Started = { port: portOf(closed), openPort: portOf(open), s3Port: portOf(s3) }
process.send?.(started)
