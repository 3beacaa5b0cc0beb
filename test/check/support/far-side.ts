import { once } from 'node:events'
import { request, type RequestListener } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A port of the loopback where nobody listens now. */
export async function freePort(): Promise<number> {
  return (await freePorts()).first
}

/** Two of them; taken one after the other, they can be the same. */
export async function freePorts(): Promise<{ readonly first: number; readonly second: number }> {
  const servers = [createServer(), createServer()] as const
  await Promise.all(servers.map(server => once(server.listen(0, '127.0.0.1'), 'listening')))
  const [first, second] = servers.map(server => (server.address() as AddressInfo).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return { first: first ?? 0, second: second ?? 0 }
}

/** Holds a port of the loopback, without a word to whoever connects. */
export async function holdPort(t: Test): Promise<number> {
  const server = createServer(socket => void socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => new Promise(resolve => server.close(resolve)))
  return (server.address() as AddressInfo).port
}

/** Passes everything on to `origin`, whose clock it makes go `ahead` milliseconds. */
export function withClockAhead(origin: string, ahead: number): RequestListener {
  return (near, answer) => {
    const far = request(
      origin + (near.url ?? ''),
      { method: near.method, headers: near.headers },
      response => {
        const date = new Date(Date.now() + ahead).toUTCString()
        answer.writeHead(response.statusCode ?? 502, { ...response.headers, date })
        response.pipe(answer)
      },
    )
    near.pipe(far)
  }
}

/** An STS that refuses whatever it is asked (AWS query protocol, "Common errors"). */
export function refusingSts(status: number, code: string, message: string): RequestListener {
  return (near, answer) => {
    near.resume()
    answer.writeHead(status, { 'content-type': 'text/xml' })
    answer.end(
      `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
    )
  }
}
