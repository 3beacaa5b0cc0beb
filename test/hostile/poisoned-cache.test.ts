import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, lstatSync, readFileSync, rmSync } from 'node:fs'
import { chmod, link, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createApp } from '../../src/app.js'
import { loadConfig } from '../../src/config/load.js'
import { createLog } from '../../src/operations/log.js'
import { startEcr } from '../ecr/ecr.js'
import { authorization } from '../support/mirror.js'
import { ask, type PlainAnswer } from '../support/requests.js'
import { usersFile } from '../support/users.js'
import { attacks, atOnce, countOf } from './support/attacks.js'
import { contents, type Contents } from './support/contents.js'
import { UNTHROTTLED } from './support/far-side.js'
import { assertRight, CANARY } from './support/oracle.js'
import { good, scriptedUpstream } from './support/scripted-upstream.js'

/** What is done to one of a cache directory's files, or to something beside it. */
interface Attack {
  readonly at: Place
  readonly harm: keyof typeof HARMS
  /** Where in the file, in percent; or what else the harm chooses by. */
  readonly percent: number
}

type Place = 'blob' | 'manifest' | 'membership' | 'tags' | 'scrub' | 'lock' | 'partial' | 'folder' | 'stray'

const flip = async (path: string, percent: number): Promise<void> => {
  const bytes = readFileSync(path)
  const at = Math.min(bytes.length - 1, Math.floor((bytes.length * percent) / 100))
  if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << (percent % 8))
  await writeFile(path, bytes)
}

const gone = (path: string): Promise<void> => rm(path, { recursive: true, force: true })

/** Each is given the path, whatever lies there. */
const HARMS = {
  'a bit': flip,
  'cut short': async (path, percent) => truncate(path, Math.floor((lstatSync(path).size * percent) / 100)),
  empty: async path => {
    await gone(path)
    await writeFile(path, '')
  },
  longer: async (path, percent) => writeFile(path, Buffer.alloc(1 + percent * 10, CANARY), { flag: 'a' }),
  zeros: async path => writeFile(path, Buffer.alloc(lstatSync(path).size)),
  garbage: async (path, percent) => writeFile(path, Buffer.alloc(percent * 50, `${CANARY}\n["record",`)),
  missing: gone,
  'a symbolic link': async (path, percent) => {
    const target = `${path}.target`
    if (existsSync(path)) await rename(path, target)
    await symlink(percent % 2 ? '/etc/passwd' : target, path)
  },
  'a link to itself': async path => {
    await gone(path)
    await symlink(path, path)
  },
  'a hard link': async (path, percent) => {
    const other = `${path}.other`
    await writeFile(other, Buffer.alloc(10 * percent, CANARY))
    await gone(path)
    await link(other, path)
  },
  'a FIFO': async path => {
    await gone(path)
    execFileSync('mkfifo', [path])
  },
  'a directory': async path => {
    await gone(path)
    await mkdir(join(path, 'inside'), { recursive: true })
  },
  'another name': async (path, percent) => {
    if (existsSync(path)) await rename(path, join(dirname(path), percent % 2 ? CANARY : '..data'))
  },
  'no permission': async path => chmod(path, 0),
  'any permission': async path => chmod(path, 0o7777),
} satisfies Record<string, (path: string, percent: number) => Promise<unknown>>

const HARM_NAMES = Object.keys(HARMS) as Attack['harm'][]
const PLACES: readonly Place[] = [
  ...(['blob', 'manifest', 'membership', 'tags', 'scrub', 'lock', 'partial', 'folder', 'stray'] as const),
]
/** What can be done to a directory, or to what need not be there. */
const ANYWHERE: readonly Attack['harm'][] = ['missing', 'a link to itself', 'a FIFO', 'a directory', 'empty']

const written: Attack[] = [
  ...HARM_NAMES.flatMap((harm, index): Attack[] => [
    { at: 'blob', harm, percent: (index * 37) % 100 },
    { at: 'manifest', harm, percent: (index * 53) % 100 },
    { at: index % 2 ? 'membership' : 'tags', harm, percent: (index * 71) % 100 },
  ]),
  ...(['scrub', 'lock', 'partial', 'folder', 'stray', 'membership', 'tags'] as const).flatMap(at =>
    ANYWHERE.map((harm): Attack => ({ at, harm, percent: 50 })),
  ),
]

const shape: fc.Arbitrary<Attack> = fc.oneof(
  fc.record<Attack>({
    at: fc.constantFrom('blob', 'manifest', 'membership', 'tags'),
    harm: fc.constantFrom(...HARM_NAMES),
    percent: fc.integer({ min: 0, max: 99 }),
  }),
  fc.record<Attack>({
    at: fc.constantFrom(...PLACES),
    harm: fc.constantFrom(...ANYWHERE),
    percent: fc.integer({ min: 0, max: 99 }),
  }),
)

const REPOSITORY = 'poisoned/image'

async function stand(t: Test) {
  const far = await scriptedUpstream(t)
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const work = await mkdtemp(join(tmpdir(), 'poisoned-'))
  t.teardown(() => rm(work, { recursive: true, force: true }))
  const users = join(work, 'users')
  await writeFile(users, await usersFile())
  const content = contents(1)
  far.play(REPOSITORY, good(content))

  /** A mirror with its cache in that directory, while `use` lasts. Its port is its own. */
  async function withMirror<T>(
    directory: string,
    use: (get: (path: string, method?: string) => Promise<PlainAnswer>) => Promise<T>,
  ): Promise<T> {
    const file = `${directory}.json`
    await writeFile(
      file,
      JSON.stringify({
        listen: '127.0.0.1:0',
        operations: { listen: '127.0.0.1:0' },
        users: { htpasswd: users },
        upstreams: [{ name: 'main', host: ecr.host, endpoint: far.url, apiEndpoint: ecr.url }],
        cache: { directory, scrub: { every: 'never' } },
      }),
    )
    const { config } = await loadConfig({ flags: { config: file }, env: {} })
    const log = createLog({ level: 'silent', format: 'json', destination: new PassThrough().resume() })
    const app = await createApp(config, { log, upstreams: UNTHROTTLED })
    try {
      return await use((path, method = 'GET') =>
        ask(`${app.urls[0]}/v2/${REPOSITORY}/${path}`, { method, headers: { authorization } }),
      )
    } finally {
      await app.close(AbortSignal.timeout(2_000))
      await rm(file, { force: true })
    }
  }

  async function pull(directory: string, about: string): Promise<void> {
    await withMirror(directory, async get => {
      for (let turn = 0; turn < 2; turn++) {
        assertRight(await get('manifests/v1'), content.manifest, about)
        assertRight(await get(`manifests/${content.manifestDigest}`), content.manifest, about)
        assertRight(await get(`blobs/${content.blobDigest}`), content.blob, about)
        const head = await get(`blobs/${content.blobDigest}`, 'HEAD')
        assert.equal(head.headers['content-length'], String(content.blob.length), about)
      }
    })
  }

  const template = join(work, 'template')
  await pull(template, 'the first time')
  return { far, content, work, template, withMirror, pull }
}

function pathOf(directory: string, at: Place, { blobDigest, manifestDigest }: Contents): string {
  const root = join(directory, 'v1')
  const file = (digest: string): string => join(root, 'blobs', 'sha256', digest.slice(7, 9), digest.slice(7))
  switch (at) {
    case 'blob':
      return file(blobDigest)
    case 'manifest':
      return file(manifestDigest)
    case 'membership':
      return join(root, 'membership.journal')
    case 'tags':
      return join(root, 'tags.journal')
    case 'scrub':
      return join(root, 'scrub.json')
    case 'lock':
      return join(root, 'lock.sock')
    case 'partial':
      return join(root, 'partial', `sha256-${blobDigest.slice(7)}`)
    case 'folder':
      return dirname(file(blobDigest))
    case 'stray':
      return join(root, 'membership.journal.new')
  }
}

t.test('whatever is done to a cache directory, the mirror starts and serves what is right', async t => {
  const { content, work, template, pull } = await stand(t)
  let tried = 0
  await atOnce(attacks('H22', written, shape), 8, async ({ at, harm, percent }) => {
    const directory = join(work, `case-${tried++}`)
    cpSync(template, directory, { recursive: true })
    await (HARMS[harm] as (path: string, percent: number) => Promise<unknown>)(
      pathOf(directory, at, content),
      percent,
    )
    await pull(directory, JSON.stringify({ at, harm, percent }))
    rmSync(directory, { recursive: true, force: true })
  })
  t.ok(tried >= countOf('H22'), `${tried} directories`)
})

t.test('r57: a journal that lies about sizes, types and times is not believed', async t => {
  const { content, work, template, pull } = await stand(t)
  const place = JSON.parse(
    readFileSync(pathOf(template, 'tags', content), 'utf8').split('\n')[0] ?? '',
  ) as string[]
  const [, registry] = place
  const { manifestDigest: digest, mediaType, manifest } = content
  const at = Date.now()
  const lies: readonly (readonly unknown[])[] = [
    [digest, mediaType, manifest.length + 1000, at],
    [digest, mediaType, 1, at],
    [digest, mediaType, -1, at],
    [digest, mediaType, 1e300, at],
    [digest, `a/b\r\nSet-Cookie: ${CANARY}`, manifest.length, at],
    [digest, `\u0000${CANARY}`, manifest.length, at],
    [digest, mediaType, manifest.length, -at],
    [content.blobDigest, mediaType, content.blob.length - 1, at],
  ]
  for (const [index, lie] of lies.entries()) {
    const directory = join(work, `lie-${index}`)
    cpSync(template, directory, { recursive: true })
    const [said, type, size, moment] = lie
    await writeFile(
      pathOf(directory, 'tags', content),
      ['*/*', '', '=']
        .map(question => `${JSON.stringify(['tag', registry, REPOSITORY, 'v1', question, ...lie])}\n`)
        .join(''),
    )
    await writeFile(
      pathOf(directory, 'membership', content),
      `${CANARY}\n${JSON.stringify(['manifest', registry, REPOSITORY, said, moment, type, size])}\n`,
    )
    await pull(directory, JSON.stringify(lie))
    t.pass(`lie ${index}`)
  }
})
