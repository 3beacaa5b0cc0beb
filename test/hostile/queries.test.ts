import { Agent } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { startEcr } from '../ecr/ecr.js'
import { mirrorOf } from '../support/mirror.js'
import { askExactly } from './support/ask-exactly.js'
import { attacks } from './support/attacks.js'
import { campaign } from './support/campaign.js'
import { refusalIn } from './support/own-refusal.js'

/** An endpoint, with a query written as it goes over the wire. `#` stands for the number of the attack. */
interface Attack {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  readonly path: string
  readonly query: string
}

const DIGEST = `sha256:${'a'.repeat(64)}`
const OTHER = `sha256:${'b'.repeat(64)}`
const SHA512 = `sha512:${'c'.repeat(128)}`

const UPLOADS = ['team/r#/blobs/uploads/', 'secret/r#/blobs/uploads/']
const MANIFESTS = [`team/r#/manifests/${DIGEST}`, 'team/r#/manifests/v1', `secret/r#/manifests/${DIGEST}`]
const LISTS = ['team/r#/tags/list', 'secret/r#/tags/list', `team/r#/referrers/${DIGEST}`, '_catalog']

const SOURCES = ['team/base', 'secret/base', 'other/team/base', 'main/secret/base', 'main/team/base']

const WRITTEN: readonly Attack[] = [
  // A mount takes from one repository and gives to another.
  ...[
    ...SOURCES,
    'team/../secret/base',
    'team/base/',
    'TEAM/base',
    'team%2fbase',
    'team/base%00',
    '',
  ].flatMap((from): Attack[] =>
    UPLOADS.map(path => ({ method: 'POST', path, query: `mount=${DIGEST}&from=${from}` })),
  ),
  ...[
    `mount=${DIGEST}&from=team/base&from=secret/base`,
    `mount=${DIGEST}&from=secret/base&from=team/base`,
    `mount=${DIGEST}&from[]=secret/base`,
    `mount=${DIGEST}&from[0]=team/base&from[1]=secret/base`,
    `mount=${DIGEST}&%66rom=secret/base`,
    `mount=${DIGEST}&from=team/base%26from%3Dsecret/base`,
    `mount=${DIGEST}&from=team/base;from=secret/base`,
    `mount=${DIGEST}&from=team/base%23secret/base`,
    `mount=${DIGEST}&from=team/base?from=secret/base`,
    `mount=${DIGEST}&From=secret/base`,
    `mount=${DIGEST}&__proto__=secret/base&constructor=x`,
    `mount=${DIGEST}&mount=${OTHER}&from=team/base`,
    `mount=${DIGEST}&digest=${OTHER}&from=team/base`,
    `mount=${DIGEST}&digest=${OTHER}&from=secret/base`,
    `from=secret/base`,
    `mount=${DIGEST}&from=base&ns=docker.io`,
    `mount=${DIGEST}&from=secret/base&ns=docker.io`,
    `mount=${DIGEST}&from=team/base&ns=elsewhere.example`,
    `digest=${DIGEST}&digest-algorithm=sha512`,
    'digest-algorithm=md5',
    'digest-algorithm=__proto__',
    'digest-algorithm=sha256&digest-algorithm=sha512',
    `mount=${SHA512}&from=team/base`,
  ].map((query): Attack => ({ method: 'POST', path: UPLOADS[0]!, query })),
  ...[
    'tag=a&tag=b',
    'tag=a&tag=a',
    'tag=',
    'tag',
    'tag=-a',
    'tag=a/../../secret',
    'tag=a%26tag%3Db',
    'tag=a%00b',
    'tag=%C3%A9',
    'tag=%zz',
    'tag=%',
    'tag[]=a',
    `tag=${'a'.repeat(129)}`,
    `tag=${DIGEST}`,
    'ns=docker.io',
    'ns=other.example',
    'ns=',
    'ns=docker.io&ns=docker.io',
    'ns=docker.io&ns=other.example',
    'ns=127.0.0.1:80',
    'ns=docker.io%0d%0aHost:x',
    'ns=docker.io/..',
  ].flatMap((query): Attack[] => MANIFESTS.map(path => ({ method: 'PUT', path, query }))),
  ...[
    'n=0',
    'n=-1',
    'n=1e3',
    'n=1.5',
    'n=99999999999999999999',
    'n=999999999',
    'n=0x10',
    'n=%31',
    'n=1&n=2',
    'n=1&n=1',
    'n=',
    'n[]=1',
    'last=secret/r1',
    'last=%2e%2e%2fsecret',
    'last=a%26n%3D5',
    'last=a%0d%0ax:y',
    'last=a&last=b',
    'artifactType=a/b&artifactType=c/d',
    'artifactType=%2526',
    `last=${'a'.repeat(4_097)}`,
  ].flatMap((query): Attack[] => LISTS.map(path => ({ method: 'GET', path, query }))),
]

const value = fc.oneof(
  fc.constantFrom(
    ...SOURCES,
    DIGEST,
    OTHER,
    SHA512,
    'docker.io',
    'elsewhere.example',
    'a',
    'v1',
    '1',
    '0',
    '',
  ),
  fc.string({ unit: fc.constantFrom(...Array.from('ab/.:&=?#+%;[]\\"<> é\0\r\n')), maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
)
const key = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('ns', 'n', 'last', 'digest', 'digest-algorithm', 'mount', 'from', 'tag'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'from[]',
      'FROM',
      'from ',
      'artifactType',
      '__proto__',
      'redirect',
      '',
      'tag[0]',
    ),
  },
)

/** Plain, escaped, escaped twice, or every letter of it escaped. */
const written = (text: string, how: number): string => {
  const plain = text.replace(/[^\x21-\x7e]|[&#%]/gu, encodeURIComponent)
  if (how === 0) return plain
  if (how === 1) return encodeURIComponent(text)
  if (how === 2) return encodeURIComponent(encodeURIComponent(text))
  return [...Buffer.from(text)].map(byte => `%${byte.toString(16).padStart(2, '0')}`).join('')
}

const shape: fc.Arbitrary<Attack> = fc
  .record({
    endpoint: fc.oneof(
      fc.record({ method: fc.constant('POST' as const), path: fc.constantFrom(...UPLOADS) }),
      fc.record({
        method: fc.constantFrom('GET' as const, 'HEAD' as const, 'PUT' as const),
        path: fc.constantFrom(...MANIFESTS),
      }),
      fc.record({ method: fc.constant('GET' as const), path: fc.constantFrom(...LISTS) }),
    ),
    pairs: fc.array(
      fc.record({
        key,
        value,
        how: fc.nat(3),
        keyHow: fc.constantFrom(0, 0, 0, 1, 3),
        joint: fc.constantFrom('&', '&', '&&', ';', '?'),
      }),
      { maxLength: 6 },
    ),
  })
  .map(({ endpoint, pairs }) => ({
    ...endpoint,
    query: pairs
      .map(({ key, value, how, keyHow, joint }) => `${written(key, keyHow)}=${written(value, how)}${joint}`)
      .join(''),
  }))

/** The values of a parameter, as a reader of forms has them. */
function valuesOf(query: string, name: string): string[] {
  return [...new Set(new URLSearchParams(query).getAll(name))]
}

const SINGLE = ['ns', 'n', 'last', 'digest', 'digest-algorithm', 'mount', 'from', 'artifactType'] as const

t.test('whatever a query says, the far side is asked for nothing beyond the rights of who asks', async t => {
  const here = { account: '111111111111', region: 'us-east-1' }
  const there = { account: '222222222222', region: 'us-east-1' }
  const ecr = await startEcr({ accounts: [here, there], knobs: { blobMounting: true } })
  t.teardown(() => ecr.close())
  const quotas = { InitiateLayerUpload: 1e6, BatchGetImage: 1e6, PutImage: 1e6 }
  const { url } = await mirrorOf(t, ecr, {
    users: 'alice:alice',
    settings: {
      policy: [
        { principals: ['alice'], upstreams: ['main'], repositories: ['team/**'], actions: ['pull', 'push'] },
        { principals: ['alice'], upstreams: ['main'], actions: ['catalog'] },
      ],
      upstreams: [
        { name: 'main', where: here, default: true, serves: ['docker.io'] },
        { name: 'other', where: there, serves: ['other.example'] },
      ].map(({ where, ...upstream }) => ({
        ...upstream,
        host: ecr.hostOf(where),
        endpoint: ecr.url,
        apiEndpoint: ecr.url,
        quotas,
      })),
    },
  })
  await ecr.putBlob('team/base', Buffer.from('team'), here)
  await ecr.putImage('secret/base', 'v1', here)
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  t.teardown(() => agent.destroy())
  const asked = new Map<number, Attack>()
  let mounts = 0

  await campaign(
    t,
    attacks('H6', WRITTEN, shape),
    async (attack, index) => {
      asked.set(index, attack)
      const { method, path, query } = attack
      const answer = await askExactly(url, `/v2/${path.replace('#', `${index}`)}?${query}`, {
        method,
        agent,
        headers: {
          authorization: `Basic ${Buffer.from('alice:alice').toString('base64')}`,
          ...(method === 'PUT' && { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }),
        },
        ...(method === 'PUT' && { body: Buffer.from('{}') }),
      })
      if (answer.status >= 500) throw new Error(`${answer.status}`)
      // No repository but the bases is there, and ECR has 405 for a page that it never gave.
      if (answer.status >= 400 && method !== 'HEAD') refusalIn(answer, [400, 403, 404, 405])
      const text = answer.bytes.toString('latin1')
      if (path === '_catalog' && text.includes('secret')) throw new Error('a secret name is told')
      if (path.startsWith('secret/') && ![400, 403, 404].includes(answer.status))
        throw new Error(`${answer.status}`)
      const isTwofold = SINGLE.some(name => valuesOf(query, name).length > 1)
      if (isTwofold && answer.status !== 400 && answer.status !== 404)
        throw new Error(`${answer.status} for both`)
    },
    () => {
      const wrong: string[] = []
      for (const { at, url: target, account } of ecr.requests) {
        if (at !== 'registry' || target === '/') continue
        const sent = new URL(target, 'http://far.example')
        const index = Number(/^\/v2\/team\/r(\d+)\//.exec(sent.pathname)?.[1])
        const attack = asked.get(index)
        const isCatalog = sent.pathname === '/v2/_catalog'
        if (account !== here.account) wrong.push(`another registry was asked: ${target}`)
        if (!attack && !isCatalog) wrong.push(`not a repository of the user's: ${target}`)
        for (const [name, value] of sent.searchParams) {
          if (name === 'ns') wrong.push(`ns was sent on: ${target}`)
          if (name === 'from' && value !== 'team/base') wrong.push(`mounts from elsewhere: ${target}`)
          if (name === 'from') mounts++
          const said = attack && valuesOf(attack.query, name)
          const isSaid = said?.includes(value) ?? true
          // A listing's size is brought within what ECR gives, and the upstream's segment is taken off.
          if (!isSaid && name !== 'n' && !said?.includes(`main/${value}`))
            wrong.push(`${JSON.stringify(attack)} became ${target}`)
        }
        if (attack && SINGLE.some(name => valuesOf(attack.query, name).length > 1))
          wrong.push(`one of two values was chosen: ${JSON.stringify(attack)}`)
      }
      ecr.requests.length = 0
      asked.clear()
      return wrong
    },
  )
  t.ok(mounts > 0, 'some mounts were allowed')
})
