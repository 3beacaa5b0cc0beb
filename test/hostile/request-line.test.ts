import fc from 'fast-check'
import t from 'tap'
import { sendRaw, statusOf } from '../support/raw.js'
import { attacks, countOf } from './support/attacks.js'
import { judge, NUMBER } from './support/canonical.js'
import { mutantsOf } from './support/mutants.js'
import { get, HEAD, hostileMirror } from './support/valid-requests.js'

t.setTimeout(7_200_000)

const PATH = `/v2/team/app/manifests/${NUMBER}a`
const request = (line: string): string => `${line}\r\n${HEAD}\r\n`

const METHODS = [
  ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'QUERY'],
  ...[
    'PURGE',
    'LINK',
    'SEARCH',
    'M-SEARCH',
    'PRI',
    'get',
    'Get',
    'GETT',
    'G',
    '',
    'GET GET',
    'GET\t',
    '\x00GET',
  ],
  ...['GET\xa0', '__proto__', 'constructor', 'toString', 'X'.repeat(5_000)],
]

const TARGETS = [
  ...[PATH, '/v2/', '/v2', '/', '*', '', '//', '?', '#', PATH.slice(1), `${PATH}#f`, `${PATH}?#`, `/${PATH}`],
  ...[`http://evil.example${PATH}`, `https://evil.example${PATH}`, `HTTP://m${PATH}`, `http:${PATH}`],
  ...[`http://ci:x@evil.example${PATH}`, 'http://', 'http:///v2/', 'ftp://m/v2/', 'javascript:x', 'data:,x'],
  ...[
    'evil.example:443',
    'evil.example',
    '[::1]:443',
    '127.0.0.1:5000',
    `evil.example${PATH}`,
    '@evil.example/v2/',
  ],
  ...[
    `${PATH} HTTP/1.1`,
    `${PATH}\tHTTP/1.1`,
    `${PATH}\x00`,
    `${PATH}\xff`,
    `${PATH}\r`,
    `\t${PATH}`,
    `<${PATH}>`,
  ],
  ...[
    `${PATH}?${'x'.repeat(13_000)}`,
    `/${'x'.repeat(20_000)}`,
    `${PATH}?ns=evil.example`,
    '/v2/?ns=169.254.169.254',
  ],
]

const VERSIONS = [
  ...[
    'HTTP/1.1',
    'HTTP/1.0',
    'HTTP/0.9',
    'HTTP/2.0',
    'HTTP/3.0',
    'HTTP/1.2',
    'HTTP/1.9',
    'HTTP/9.9',
    'HTTP/0.0',
  ],
  ...[
    'HTTP/1',
    'HTTP/2',
    'HTTP/1.',
    'HTTP/.1',
    'HTTP/1.10',
    'HTTP/01.1',
    'HTTP/1.01',
    'HTTP/1.1.1',
    'HTTP/11.1',
  ],
  ...[
    'HTTP/ 1.1',
    'HTTP /1.1',
    'HTTP\\1.1',
    'http/1.1',
    'Http/1.1',
    'HTTPS/1.1',
    'ICE/1.0',
    'RTSP/1.0',
    'XHTTP/1.1',
  ],
  ...['HTTP/1.1 ', 'HTTP/1.1\t', 'HTTP/1.1 x', 'HTTP/1.1\x00', 'HTTP/1,1', 'HTTP/-1.1', 'HTTP/+1.1', ''],
]

const WRITTEN = [
  ...METHODS.map(method => request(`${method} ${PATH} HTTP/1.1`)),
  ...TARGETS.map(target => request(`GET ${target} HTTP/1.1`)),
  ...VERSIONS.map(version => request(`GET ${PATH} ${version}`)),
  `GET ${PATH}\r\n`,
  `GET ${PATH}\r\n\r\n`,
  `GET  ${PATH} HTTP/1.1\r\n${HEAD}\r\n`,
  `GET ${PATH}  HTTP/1.1\r\n${HEAD}\r\n`,
  `GET\t${PATH}\tHTTP/1.1\r\n${HEAD}\r\n`,
  ` GET ${PATH} HTTP/1.1\r\n${HEAD}\r\n`,
  `GET ${PATH} HTTP/1.1\n${HEAD}\r\n`,
  `GET ${PATH} HTTP/1.1\r${HEAD}\r\n`,
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n' + get(),
  '\r\n\r\n\x00',
]

const LINES = fc
  .tuple(fc.constantFrom(...METHODS), fc.constantFrom(...TARGETS), fc.constantFrom(...VERSIONS))
  .map(([method, target, version]) => request(`${method} ${target} ${version}`))

const MUTATED_LINES = mutantsOf([`GET ${PATH} HTTP/1.1`, `DELETE ${PATH}?ns=x HTTP/1.0`]).map(request)

t.test('a request line that is not of the API goes nowhere', async t => {
  const shape = fc.oneof(LINES, MUTATED_LINES)
  const tally = await judge(await hostileMirror(t), attacks('H2', WRITTEN, shape))
  t.ok(tally.attacks >= countOf('H2'))
  t.ok(tally.upstream > 0, 'those that are of the API among them')
})

t.test('r02: other versions of HTTP are not understood', async t => {
  const { url, ecr, fetch } = await hostileMirror(t)
  await fetch('/v2/team/app/tags/list')
  const before = ecr.requests.length
  for (const version of ['2.0', '0.9']) {
    const answer = await sendRaw(url, request(`GET /v2/team/app/tags/list HTTP/${version}`))
    t.equal(statusOf(answer), 505, version)
    t.match(answer, /\r\nconnection: close\r\n[\s\S]*"code":"UNSUPPORTED"/i)
  }
  t.equal(ecr.requests.length, before)
})

t.test('a tunnel is refused, and what is sent through it goes nowhere', async t => {
  const { url, ecr, fetch } = await hostileMirror(t)
  await fetch('/v2/team/app/tags/list')
  const before = ecr.requests.length
  for (const target of ['evil.example:443', '127.0.0.1:22', '/v2/', '*']) {
    const answer = await sendRaw(url, request(`CONNECT ${target} HTTP/1.1`) + get('z'))
    t.match(answer, /^HTTP\/1\.1 40[05] [\s\S]*"code":"UNSUPPORTED"/, target)
  }
  t.equal(ecr.requests.length, before)
})
