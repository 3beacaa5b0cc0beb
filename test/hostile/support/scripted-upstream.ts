import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A request as it arrived; header names in lower case, the first of several. */
export interface Asked {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** The connection that a request came on, to say on it whatever bytes there are to say. */
export interface Far {
  /** As it is; nothing is added. */
  write(bytes: string | Buffer): void
  /** Ends the connection in order, after what was written. */
  end(): void
  /** Resets it, with what was not sent yet. */
  cut(): void
  readonly closed: boolean
}

/** What an upstream does with a request. Whether it says a whole answer, half of one or three is its own affair. */
export type Script = (asked: Asked, far: Far) => void

/** A registry that says byte by byte what a test makes it say, to each repository something else. */
export interface ScriptedUpstream {
  readonly url: string
  /** Its host and port, for redirects and redirectHosts. */
  readonly host: string
  readonly port: number
  readonly asked: readonly Asked[]
  /** Connections ever opened. */
  readonly opened: number
  /** Connections that are open. */
  readonly open: number
  /** What is played to requests under `/v2/<repository>/` and `/storage/<repository>`. */
  play(repository: string, script: Script): void
  /** Takes the script away, and what was asked of it out of memory. */
  forget(repository: string): void
}

const REPOSITORY = /^\/(?:v2|storage)\/(.+?)(?:\/(?:manifests|blobs|tags|referrers)\/.*|\?.*)?$/

/** Listens on loopback until the test ends. */
export async function scriptedUpstream(t: Pick<Test, 'teardown'>): Promise<ScriptedUpstream> {
  const scripts = new Map<string, Script>()
  const sockets = new Set<Socket>()
  let asked: Asked[] = []
  let opened = 0

  const server = createServer({ noDelay: true }, socket => {
    opened++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    const far: Far = {
      write: bytes => void socket.write(bytes),
      end: () => void socket.end(),
      cut: () => void socket.resetAndDestroy(),
      get closed() {
        return socket.destroyed
      },
    }
    let received: Buffer = Buffer.alloc(0)
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      for (;;) {
        const request = parse(received)
        if (!request) return
        received = received.subarray(request.length)
        asked.push(request.asked)
        const script = scripts.get(REPOSITORY.exec(request.asked.path)?.[1] ?? '') ?? notFound
        script(request.asked, far)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    port,
    get asked() {
      return asked
    },
    get opened() {
      return opened
    },
    get open() {
      return sockets.size
    },
    play: (repository, script) => void scripts.set(repository, script),
    forget: repository => {
      scripts.delete(repository)
      if (asked.length > 1000) asked = []
    },
  }
}

const notFound: Script = (_asked, far) =>
  far.write(answer(404, {}, '{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}'))

/** The first request in what was received, once it is there as a whole; bodies in chunks are taken as they come. */
function parse(received: Buffer): { readonly asked: Asked; readonly length: number } | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [line = '', ...fields] = received.toString('latin1', 0, end).split('\r\n')
  const [method = '', path = ''] = line.split(' ')
  const headers: Record<string, string> = {}
  for (const field of fields) {
    const colon = field.indexOf(':')
    headers[field.slice(0, colon).toLowerCase()] ??= field.slice(colon + 1).trim()
  }
  const begin = end + 4
  const length = headers['transfer-encoding']
    ? received.indexOf('0\r\n\r\n', begin) + 5 - begin
    : Number(headers['content-length'] ?? 0)
  if (length < 0 || (headers['transfer-encoding'] && length < 5) || received.length < begin + length)
    return undefined
  return {
    asked: { method, path, headers, body: received.subarray(begin, begin + length) },
    length: begin + length,
  }
}

/** An answer as bytes: with a Content-Length, unless the headers say how the body ends. */
export function answer(
  status: number | string,
  headers: Readonly<Record<string, string | number | readonly string[]>> = {},
  body: string | Buffer = '',
): Buffer {
  const names = Object.keys(headers).map(name => name.toLowerCase())
  const framed = names.includes('content-length') || names.includes('transfer-encoding')
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map(each => `${name}: ${String(each)}\r\n`),
  )
  const head = `HTTP/1.1 ${status}${typeof status === 'number' ? ' Said' : ''}\r\n${lines.join('')}`
  const length = framed ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`
  return Buffer.concat([Buffer.from(`${head}${length}\r\n`, 'latin1'), Buffer.from(body)])
}

/** What a good registry has in one repository. */
export interface Content {
  readonly blob: Buffer
  readonly manifest: Buffer
  readonly mediaType: string
}

/** The range that a request asks for of `size` bytes, zero-based and inclusive; the whole when it asks for none. */
export function rangeAsked(asked: Asked, size: number): { first: number; last: number; part: boolean } {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(asked.headers['range'] ?? '') ?? []
  if (first === undefined) return { first: 0, last: size - 1, part: false }
  return { first: Number(first), last: last ? Math.min(Number(last), size - 1) : size - 1, part: true }
}

/** The bytes of a blob, or the range of it, as a good registry answers with them. */
export function blobAnswer(asked: Asked, blob: Buffer): { head: Buffer; body: Buffer } {
  const { first, last, part } = rangeAsked(asked, blob.length)
  if (part && first >= blob.length)
    return { head: answer(416, { 'content-range': `bytes */${blob.length}` }), body: Buffer.alloc(0) }
  const body = asked.method === 'HEAD' ? Buffer.alloc(0) : blob.subarray(first, last + 1)
  const head = answer(part ? 206 : 200, {
    'content-length': last - first + 1,
    ...(part && { 'content-range': `bytes ${first}-${last}/${blob.length}` }),
  })
  return { head, body }
}

/** A registry as it should be, which serves blobs itself, has one manifest under all its tags, and takes any push. */
export function good({ blob, manifest, mediaType }: Content): Script {
  return (asked, far) => {
    const { method, path } = asked
    const at = path.replace(/\?.*/, '')
    if (/\/blobs\/uploads\//.test(at)) {
      const where = `${at}${at.endsWith('/') ? 'session' : ''}`
      far.write(answer(method === 'PUT' ? 201 : 202, { location: where }))
    } else if (/\/blobs\//.test(at) || at.startsWith('/storage/')) {
      const { head, body } = blobAnswer(asked, blob)
      far.write(Buffer.concat([head, body]))
    } else if (/\/manifests\//.test(at)) {
      if (method === 'PUT') far.write(answer(201))
      else if (method === 'DELETE') far.write(answer(202))
      else {
        const headers = { 'content-type': mediaType, 'content-length': manifest.length }
        far.write(answer(200, headers, method === 'HEAD' ? '' : manifest))
      }
    } else if (/\/tags\/list$/.test(at)) {
      far.write(answer(200, { 'content-type': 'application/json' }, '{"name":"x","tags":["v1"]}'))
    } else {
      const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] }
      far.write(answer(200, { 'content-type': index.mediaType }, JSON.stringify(index)))
    }
  }
}
