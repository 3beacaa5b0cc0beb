import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { Agent } from 'undici'
import { OciError } from '../../../src/oci/error.js'
import type { BlobSource, OpenedBlob, SourceRange } from '../../../src/store/blob-source.js'
import type { Content } from './content.js'

/** What becomes of one answer. */
export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'status'; readonly status: number }
  /** The connection is closed after so many bytes of the body, the rude way or not. */
  | { readonly kind: 'cut'; readonly after: number; readonly rude: boolean }

export interface Storage {
  readonly source: BlobSource
  /** Bytes of the blob that were given to the network. */
  sent: number
  /** Times that the registry was asked where the blob is, and that storage was asked for bytes. */
  located: number
  requested: number
  /** The ranges that it was asked for; inclusive. */
  readonly ranges: { first: number; last: number }[]
  /** Signatures up to now are good for nothing any more. */
  expire(): void
  /** Breaks off whatever is being given. */
  cutAll(): void
  /** Milliseconds before each further 64 KiB of an answer. */
  pace: number
  /** The position from which on no byte is given for as long as it stands, so that a download cannot end meanwhile. */
  holdFrom: number
  /** Asked before each answer of the storage, with where its body begins and how long it is. */
  fault: (first: number, length: number) => Fault
  /** Asked before each answer of the registry. */
  registryStatus: () => number
  /** Changes bytes on their way. */
  corrupt: (bytes: Buffer, position: number) => Buffer
}

const CHUNK = 64 * 1024

/** A registry that redirects to a storage that gives ranges, over real sockets, and a source that reads them. */
export async function startStorage(t: Test, content: Content): Promise<Storage> {
  let signature = 1
  let expired = 0
  const server = createServer((request, response) => {
    void (request.url === '/registry' ? redirect(response) : give(request, response)).catch(() =>
      response.destroy(),
    )
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ bodyTimeout: 5000 })
  t.teardown(async () => {
    await agent.destroy()
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  const origin = `http://127.0.0.1:${port}`

  async function redirect(response: ServerResponse): Promise<void> {
    storage.located++
    const status = storage.registryStatus()
    response.writeHead(status, status === 307 ? { location: `/blob?${signature++}` } : {}).end()
  }

  async function give(request: IncomingMessage, response: ServerResponse): Promise<void> {
    storage.requested++
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    const first = Number(from)
    const last = Math.min(to === '' ? Infinity : Number(to), content.size - 1)
    const length = last - first + 1
    storage.ranges.push({ first, last })
    if (Number((request.url ?? '').split('?')[1]) <= expired)
      return void response.writeHead(403).end('<Error/>')
    if (length <= 0) return void response.writeHead(416).end('<Error/>')
    const fault = storage.fault(first, length)
    if (fault.kind === 'status') return void response.writeHead(fault.status).end('<Error/>')
    response.writeHead(206, {
      'content-length': length,
      'content-range': `bytes ${first}-${last}/${content.size}`,
    })
    const end = fault.kind === 'cut' ? first + Math.min(fault.after, length) : last + 1
    for (let position = first; position < end;) {
      const bytes = content.slice(position, Math.min(end, position + CHUNK))
      while (position + bytes.length > storage.holdFrom && !response.destroyed) await sleep(2)
      await new Promise<void>((resolve, reject) => {
        response.write(storage.corrupt(bytes, position), error => (error ? reject(error) : resolve()))
      })
      storage.sent += bytes.length
      position += bytes.length
      if (storage.pace > 0) await sleep(storage.pace)
    }
    if (fault.kind !== 'cut') response.end()
    else if (fault.rude) request.socket.resetAndDestroy()
    else request.socket.destroySoon()
  }

  async function locate(signal: AbortSignal): Promise<string> {
    const answer = await agent.request({ origin, path: '/registry', method: 'GET', signal })
    await answer.body.dump()
    if (answer.statusCode !== 307) throw new OciError('UNKNOWN', 'refused', { status: answer.statusCode })
    return String(answer.headers.location)
  }

  async function read(path: string, range: SourceRange, signal: AbortSignal): Promise<OpenedBlob> {
    const headers = { range: `bytes=${range.first}-${range.last ?? ''}` }
    const answer = await agent.request({ origin, path, method: 'GET', headers, signal })
    if (answer.statusCode !== 206) {
      await answer.body.dump()
      throw new OciError('UNKNOWN', 'storage failed', { status: answer.statusCode === 416 ? 416 : 502 })
    }
    const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(String(answer.headers['content-range']))
    const [first = 0, last = 0, size = 0] = match?.slice(1).map(Number) ?? []
    return { first, last, size, body: answer.body, again: (next, signal) => read(path, next, signal) }
  }

  const storage: Storage = {
    source: { open: async (range, signal) => read(await locate(signal), range, signal) },
    sent: 0,
    located: 0,
    requested: 0,
    ranges: [],
    cutAll: () => server.closeAllConnections(),
    expire: () => void (expired = signature - 1),
    pace: 0,
    holdFrom: Infinity,
    fault: () => ({ kind: 'none' }),
    registryStatus: () => 307,
    corrupt: bytes => bytes,
  }
  return storage
}
