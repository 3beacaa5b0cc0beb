import t from 'tap'
import { createAddressSet } from '../../src/access/address-set.js'
import { parseBasicCredentials } from '../../src/access/basic-credentials.js'
import { clientAddress } from '../../src/access/client-address.js'
import { accepts, normalAccept } from '../../src/oci/accept.js'
import { parseByteRange } from '../../src/oci/byte-range.js'
import { parseRequest } from '../../src/oci/endpoint.js'
import { OciError } from '../../src/oci/error.js'
import { refusalOf } from '../../src/registry/gate.js'
import { startMirror } from '../support/mirror.js'
import { sendRaw, statusOf } from '../support/raw.js'

/** As long as a request's head may be, and lengths on the way there. */
const LENGTHS = [16, 256, 1024, 4 * 1024, 11 * 1024, 16 * 1024]

const trustedProxies = createAddressSet(['10.0.0.0/8'])
const forwarded = (forwardedFor: string): string | undefined =>
  clientAddress({ peer: '10.0.0.7', forwardedFor, trustedProxies })

const parsed = (target: string): number | string => {
  const result = parseRequest('GET', target)
  return result instanceof OciError ? result.status : result.endpoint.kind
}

const gate = (name: string, value: string): number | undefined =>
  refusalOf({ method: 'GET', httpVersion: '1.1', rawHeaders: ['Host', 'm', name, value] })?.status

/** Begins as what is read, goes on with many of one thing, and ends in a way that makes a reader go back. */
const fill = (length: number, piece: string): string =>
  piece.repeat(Math.ceil(length / piece.length)).slice(0, length)

/** What each reader of a stranger's words makes of so many characters. */
const READERS: Readonly<Record<string, (length: number) => readonly [found: unknown, wanted: unknown]>> = {
  'a query of many parameters of one name': length => [
    parsed(`/v2/?${fill(length, 'a=1&')}`),
    length > 11 * 1024 ? 414 : length > 4 * 31 ? 400 : 'base',
  ],
  'a query of many values': length => [
    parsed(`/v2/?${Array.from({ length: length / 4 }, (_, at) => `a=${at}`).join('&')}`),
    length > 8 * 1024 ? 414 : length > 4 * 32 ? 400 : 'base',
  ],
  'a query of empty parameters': length => [
    parsed(`/v2/?${fill(length, '&')}`),
    length > 12 * 1024 ? 414 : length > 31 ? 400 : 'base',
  ],
  'one long value': length => [
    parsed(`/v2/?a=${fill(length, 'x')}`),
    length > 12 * 1024 ? 414 : length > 4096 ? 400 : 'base',
  ],
  escapes: length => [
    parsed(`/v2/?a=${fill(length - (length % 3), '%20')}`),
    length > 12 * 1024 ? 414 : 'base',
  ],
  'a path of many segments': length => [
    parsed(`/v2/${fill(length, 'a/')}/tags/list!`),
    length > 12 * 1024 ? 414 : 400,
  ],
  'a name of separators': length => [
    parsed(`/v2/a${fill(length, '-')}_/tags/list`),
    length > 12 * 1024 ? 414 : 400,
  ],
  'credentials with spaces in front': length => [
    parseBasicCredentials(`Basic ${fill(length, ' ')}!`),
    undefined,
  ],
  'credentials of padding': length => [parseBasicCredentials(`Basic ${fill(length, 'A')}=!`), undefined],
  'a range of spaces': length => [parseByteRange(`bytes=${fill(length, '\t')}x`), undefined],
  'a range of digits': length => [
    parseByteRange(`bytes=${fill(length, '1')}-`)?.constructor,
    length > 15 ? undefined : Object,
  ],
  'an Accept of commas': length => [normalAccept(fill(length, ', ')), ''],
  'an Accept of many types': length => [accepts(`${fill(length, 'a/b,')}*/*`, 'c/d'), true],
  'a Connection of many fields': length => [
    gate('Connection', fill(length, 'close ')),
    gate('Connection', 'x y'),
  ],
  'a Via of many proxies': length => [gate('Via', fill(length, '1.1 ecr-mirror-,')), undefined],
  'a chain of trusted proxies': length => [
    forwarded(`192.0.2.1,${'10.0.0.1,'.repeat(Math.floor(length / 9))}10.0.0.1`),
    length < 9 * 31 ? '192.0.2.1' : undefined,
  ],
  'a long address in a chain': length => [forwarded(fill(length, '1')), undefined],
  'an address of colons': length => [forwarded(`${fill(length, ':')}1`), undefined],
  'an address of zones': length => [forwarded(`${fill(length, '%')}1`), undefined],
}

t.test('whatever a stranger sends at length is read for what it is', t => {
  for (const [what, read] of Object.entries(READERS))
    for (const length of LENGTHS) {
      const [found, wanted] = read(length)
      t.equal(found, wanted, `${what}, ${length} characters`)
    }
  t.end()
})

t.test(
  'a query of thousands of parameters is refused before any login, and a known user is served',
  async t => {
    const { url, fetch: get } = await startMirror(t)
    const query = Array.from({ length: 1_500 }, (_, at) => `a=${at}`).join('&')
    const answers = await Promise.all(
      Array.from({ length: 50 }, () =>
        sendRaw(url, `GET /v2/?${query} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n`),
      ),
    )
    // What is wrong with a request is for those who may ask.
    t.same([...new Set(answers.map(statusOf))], [401])
    t.equal((await get(`/v2/?${query}`)).status, 400)
    t.equal((await get('/v2/')).status, 200)
  },
)
