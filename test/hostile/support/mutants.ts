import fc from 'fast-check'
import { get, VALID } from './valid-requests.js'

/** What one reader may take for something else than another does. */
const PIECES = [
  ...['\r', '\n', '\r\n', '\r\n\r\n', '\0', '\t', ' ', '\v', '\f', '\x7f', '\x80', '\xa0', '\xff', '\x1b'],
  ...[
    ':',
    ';',
    ',',
    '=',
    '"',
    '\\',
    '/',
    '//',
    '/../',
    '/./',
    '%2f',
    '%2e%2e',
    '%00',
    '%0d%0a',
    '#',
    '?',
    '&',
  ],
  ...[
    '0',
    '1',
    '-1',
    '+',
    '0x',
    '_',
    'f',
    'ffffffffffffffff',
    '18446744073709551616',
    '00000000000000000005',
  ],
  ...['chunked', 'Chunked', 'identity', 'gzip, chunked', 'chunked, identity', 'xchunked', 'chunked\0'],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding : chunked\r\n',
    'Transfer-Encoding:\x0bchunked\r\n',
  ],
  ...['Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'Content-Length : 5\r\n', 'Content-Length: 5, 5\r\n'],
  ...[
    'Content_Length: 5\r\n',
    ' Content-Length: 5\r\n',
    '\tfolded\r\n',
    'Host: other\r\n',
    'Host\r\n',
    ': x\r\n',
  ],
  ...['Connection: close\r\n', 'Connection: Authorization\r\n', 'Connection: upgrade\r\nUpgrade: h2c\r\n'],
  ...[
    'Expect: 100-continue\r\n',
    'Expect: x\r\n',
    'Range: bytes=0-1\r\n',
    'Trailer: Host\r\n',
    'TE: trailers\r\n',
  ],
  ...[
    '0\r\n\r\n',
    '0;x=y\r\n\r\n',
    '5;\r\nlayer\r\n',
    '5 \r\nlayer\r\n',
    '5\nlayer\n',
    '0\r\nHost: z\r\n\r\n',
  ],
  ...['HTTP/1.0', 'HTTP/1.1', 'HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.10', 'HTTP/01.1', 'PRI * HTTP/2.0'],
  ...['GET', 'POST', 'PUT', 'CONNECT', 'OPTIONS *', 'get', 'GET http://evil.example/v2/', 'X'],
  get('z'),
] as const

type Change = (bytes: string, at: number, piece: string, size: number) => string

const lines = (bytes: string): string[] => bytes.split(/(?<=\n)/)

function changedLine(bytes: string, at: number, change: (line: string, all: string[]) => string): string {
  const all = lines(bytes)
  const index = at % all.length
  return all.with(index, change(all[index] ?? '', all)).join('')
}

const CHANGES: readonly Change[] = [
  (bytes, at, piece) => bytes.slice(0, at) + piece + bytes.slice(at),
  (bytes, at, piece, size) => bytes.slice(0, at) + piece + bytes.slice(at + size),
  (bytes, at, _piece, size) => bytes.slice(0, at) + bytes.slice(at + size),
  (bytes, at, _piece, size) => bytes.slice(0, at + size) + bytes.slice(at),
  (bytes, at, _piece, size) =>
    bytes.slice(0, at) +
    String.fromCharCode((bytes.charCodeAt(at) || 0) ^ (1 << (size % 8))) +
    bytes.slice(at + 1),
  (bytes, at) => bytes.slice(0, at),
  (bytes, at) => changedLine(bytes, at, line => line + line),
  (bytes, at) => changedLine(bytes, at, () => ''),
  (bytes, at, _piece, size) => changedLine(bytes, at, (line, all) => line + (all[size % all.length] ?? '')),
  (bytes, at, piece) => changedLine(bytes, at, line => piece + line),
  (bytes, at) => changedLine(bytes, at, line => line.replace('\r\n', '\n')),
  (bytes, at) => changedLine(bytes, at, line => line.toUpperCase()),
  (bytes, at, piece) => changedLine(bytes, at, line => line.replace(/:.*/, `: ${piece}\r`)),
]

/** Requests with one to three changes each, of a byte, a piece or a line. */
export function mutantsOf(valid: readonly string[]): fc.Arbitrary<string> {
  const change = fc.record({
    change: fc.constantFrom(...CHANGES),
    at: fc.nat({ max: 100_000 }),
    piece: fc.constantFrom(...PIECES),
    size: fc.integer({ min: 1, max: 12 }),
  })
  return fc
    .tuple(fc.constantFrom(...valid), fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([request, changes]) =>
      changes.reduce(
        (bytes, { change, at, piece, size }) => change(bytes, at % (bytes.length + 1), piece, size),
        request,
      ),
    )
}

/** Changes of every kind to valid requests of every kind. */
export const MUTANTS = mutantsOf(VALID)
