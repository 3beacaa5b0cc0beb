import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { startMirror, type MirrorOptions, type MirrorUnderTest } from '../support/mirror.js'
import { ask } from '../support/requests.js'
import { basic, cacheDirectory, look, POLICY, until, USERS, words, type Looked } from './support/looking.js'

t.setTimeout(120_000)

const SIZE = 3 * 1024 * 1024

interface Stand extends MirrorUnderTest {
  /** The status of a pull by a user. */
  readonly pull: (path: string, user?: string) => Promise<number>
}

async function startStand(t: Test, { settings, ...options }: MirrorOptions = {}): Promise<Stand> {
  const directory = await cacheDirectory(t)
  const mirror = await startMirror(t, {
    users: USERS,
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    upstream: { name: 'faraway' },
    settings: { cache: { directory: directory }, policy: POLICY, ...settings },
    ...options,
  })
  const pull = async (path: string, user = 'carrier'): Promise<number> =>
    (await ask(mirror.url + path, { headers: { authorization: basic(user) } })).status
  return { ...mirror, pull }
}

/** Pulls images of two teams, and makes a pull of each fail. */
async function busy({ ecr, pull, app }: Stand): Promise<void> {
  for (const name of ['team/quince', 'other/medlar']) {
    const { config } = await ecr.putImage(name, 'v1', { layers: [randomBytes(50_000)] })
    t.equal(await pull(`/v2/${name}/manifests/v1`), 200)
    t.equal(await pull(`/v2/${name}/blobs/${config.digest}`), 200)
    ecr.knobs.answer.BatchGetImage = [{ status: 500, times: 9 }]
    t.ok((await pull(`/v2/${name}/manifests/v2`)) >= 500)
    ecr.knobs.answer.BatchGetImage = []
  }
  await until(async () => !(await look(app)).text.includes('being looked through'))
}

t.test('everybody sees numbers, and no name of anything', async t => {
  const stand = await startStand(t)
  await busy(stand)
  for (const path of ['/status', '/status/live', '/status?q=quince', '/status/live?q=quince&sort=name']) {
    const { status, text } = await look(stand.app, path)
    t.equal(status, 200)
    const shown = words(text)
    t.match(shown, /Hit rate 0 %/)
    t.match(shown, /Requests 6 /)
    t.match(shown, /GET manifest, 50\d/)
    t.match(shown, /2 images/)
    t.match(shown, /Upstream 1 ● ?answers|Upstream 1/)
    for (const name of [
      'quince',
      'medlar',
      'team/',
      'other/',
      stand.ecr.host,
      'faraway',
      'carrier',
      'sha256:',
    ])
      t.notOk(
        text
          .replaceAll(/sha256-\S+/g, '')
          .replace('value="quince"', '')
          .includes(name),
        `${path} ${name}`,
      )
  }
})

t.test('names are shown to those who have the grant, of what the grant is about', async t => {
  const stand = await startStand(t)
  await busy(stand)
  const watcher = words((await look(stand.app, '/status', 'watcher')).text)
  for (const name of [
    'faraway/team/quince:v1',
    'faraway/other/medlar:v1',
    stand.ecr.host,
    'asked by carrier',
    'failed on this request',
    'linux/amd64',
  ])
    t.match(watcher, name)

  const narrow = (await look(stand.app, '/status', 'narrow')).text
  t.match(narrow, 'faraway/team/quince:v1')
  t.match(words(narrow), /1 image, as of/)
  t.match(words(narrow), /GET manifest, 50\d.*GET manifest, 50\d/, 'that something went wrong may be seen')
  t.notMatch(narrow, 'medlar', 'what of others it was may not')
  t.notMatch(
    (await look(stand.app, '/status?q=medlar', 'narrow')).text.replace('value="medlar"', ''),
    'medlar',
  )

  const plain = (await look(stand.app, '/status', 'plain')).text
  t.match(words(plain), 'plain has no status grant')
  t.notMatch(plain, /quince|medlar|faraway/)
})

t.test('without a policy nobody sees names, as nobody may delete', async t => {
  const { app } = await startStand(t, { settings: { policy: undefined } })
  const { status, text } = await look(app, '/status', 'watcher')
  t.equal(status, 200)
  t.notMatch(text, 'faraway')
})

t.test('a grant to anybody shows names without a login', async t => {
  const grant = { principals: ['anonymous'], addresses: ['127.0.0.0/8'], actions: ['status'] }
  const { app } = await startStand(t, { settings: { policy: [grant] } })
  t.match((await look(app)).text, 'faraway')
  const proxied = await fetch(`${app.operationsUrl}/status`, { headers: { 'x-forwarded-for': '127.0.0.1' } })
  t.notMatch(await proxied.text(), 'faraway', 'from an address that nobody vouches for')
})

t.test('the login is the one of the registry', async t => {
  const audit = `${t.testdir({})}/audit`
  const { app, pull } = await startStand(t, { settings: { audit: { file: audit } } })
  const challenge = await look(app, '/status?login')
  t.equal(challenge.status, 401)
  t.equal(challenge.headers.get('www-authenticate'), 'Basic realm="ecr-mirror"')
  const good = await look(app, '/status?login', 'watcher')
  t.equal(good.status, 303)
  t.equal(good.headers.get('location'), 'status')

  const wrong = () => look(app, '/status', 'nobody')
  t.equal((await wrong()).status, 401)
  t.equal((await wrong()).headers.get('www-authenticate'), 'Basic realm="ecr-mirror"')
  const live = await look(app, '/status/live', 'nobody')
  t.equal(live.status, 401)
  t.equal(live.headers.get('www-authenticate'), null, 'a script must not make the browser ask')
  let last: Looked = live
  for (let tries = 0; tries < 10 && last.status === 401; tries++) last = await wrong()
  t.equal(last.status, 429)
  t.ok(Number(last.headers.get('retry-after')) > 0)
  t.equal(await pull('/v2/', 'nobody'), 429, 'who is held here is held there')
  t.equal((await look(app, '/status', 'watcher')).status, 200)
  await app.close()
  t.match(await readFile(audit, 'utf8'), /"event":"login refused"/)
})

t.test('what is saved is what was served and not fetched, in money where a price is given', async t => {
  const { app, ecr, pull } = await startStand(t, {
    settings: { policy: POLICY, status: { transferPrice: 1000 } },
  })
  const { digest } = await ecr.putBlob('team/quince', randomBytes(SIZE))
  t.match(words((await look(app)).text), /Hit rate – .*Saved 0 B/)
  t.equal(await pull(`/v2/team/quince/blobs/${digest}`), 200)
  await until(async () => /From ECR 3\.0 MiB/.test(words((await look(app)).text)))
  t.match(words((await look(app)).text), /Hit rate 0 % .*Saved 0 B .*Served 3\.0 MiB/)
  for (let again = 0; again < 3; again++) t.equal(await pull(`/v2/team/quince/blobs/${digest}`), 200)
  const shown = words((await look(app)).text)
  t.match(shown, /Hit rate 75 % .*Saved 9\.0 MiB .*Served 12\.0 MiB .*From ECR 3\.0 MiB/)
  t.match(shown, /Saved money \$8\.79 In the last \d+ s: \$8\.79/)
})

t.test('without a price no money is told, and without a cache nothing is saved', async t => {
  const { app, ecr, pull } = await startStand(t, { settings: { cache: undefined, policy: POLICY } })
  const { digest } = await ecr.putBlob('team/quince', randomBytes(SIZE))
  for (let again = 0; again < 2; again++) t.equal(await pull(`/v2/team/quince/blobs/${digest}`), 200)
  const shown = words((await look(app, '/status', 'watcher')).text)
  t.match(shown, /Hit rate 0 % .*Saved 0 B .*Served 6\.0 MiB .*From ECR 6\.0 MiB/)
  t.match(shown, 'There is no cache')
  t.notMatch(shown, '$')
})

t.test('what is being downloaded is shown to everybody, and what it is to those who may see it', async t => {
  const { app, ecr, pull } = await startStand(t)
  const { digest } = await ecr.putBlob('other/medlar', randomBytes(SIZE))
  ecr.knobs.s3.slow = 200_000
  const pulls = [pull(`/v2/other/medlar/blobs/${digest}`), pull(`/v2/other/medlar/blobs/${digest}`)]
  await until(async () => {
    const text = words((await look(app)).text)
    return /A layer .* of 3\.0 MiB .*2 clients wait/.test(text) && text
  })
  t.match((await look(app, '/status', 'watcher')).text, digest)
  t.match(words((await look(app, '/status', 'watcher')).text), 'faraway/other/medlar')
  t.notMatch((await look(app, '/status', 'narrow')).text, /medlar|sha256:/)
  ecr.knobs.s3.slow = undefined
  await app.close(AbortSignal.abort())
  await Promise.allSettled(pulls)
})

t.test('the page can do nothing but what it came with', async t => {
  const { app } = await startStand(t)
  const { headers, text } = await look(app, '/status', 'watcher')
  const inline = (tag: string): string => {
    const [, content = '', ...more] = text.split(new RegExp(`<${tag}>|</${tag}>`))
    t.equal(more.length, 1, `one ${tag}`)
    return `'sha256-${createHash('sha256').update(content).digest('base64')}'`
  }
  t.same(headers.get('content-security-policy')?.split('; '), [
    "default-src 'none'",
    `style-src ${inline('style')}`,
    `script-src ${inline('script')}`,
    "connect-src 'self'",
    'img-src data:',
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ])
  t.match(Object.fromEntries(headers), {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  t.notMatch(
    text.replace(/<script>[^]*<\/script>/, ''),
    /\son\w+=|\sstyle=|javascript:|https?:\/\/(?!127|www\.w3)/,
  )
  for (const path of ['/status/live', '/status?login', '/status/live?login'])
    t.equal((await look(app, path)).headers.get('x-content-type-options'), 'nosniff', path)
})

t.test('what comes with a request is text on the page', async t => {
  const { app } = await startStand(t)
  const evil = `"><script>alert(1)</script>`
  const url = new URL(app.operationsUrl)
  for (const user of ['watcher', 'plain']) {
    const answer = await ask(app.operationsUrl, {
      target: `/status?q=${encodeURIComponent(evil)}&sort=${encodeURIComponent(evil)}&page=${encodeURIComponent(evil)}`,
      headers: { host: `${evil}:${url.port}`, authorization: basic(user) },
    })
    t.equal(answer.status, 200)
    t.notMatch(answer.bytes.toString(), '<script>alert')
  }
  t.match(
    (await look(app, `/status?q=${encodeURIComponent(evil)}`, 'watcher')).text,
    'value="&quot;&gt;&lt;script',
  )
})

t.test('clients are told the public URL, or else the name by which the page was found', async t => {
  const named = await startStand(t)
  const port = new URL(named.url).port
  const at = (host: string) => ask(`${named.app.operationsUrl}/status`, { headers: { host } })
  t.match((await at('mirror.internal:5001')).bytes.toString(), `docker login mirror.internal:${port} `)
  const { app } = await startStand(t, { settings: { publicUrl: 'https://images.internal' } })
  t.match((await look(app)).text, 'ecr-mirror client-config docker --url https://images.internal --user USER')
})

t.test('HEAD is answered as GET is, and nothing else is there', async t => {
  const { app } = await startStand(t)
  const head = await ask(`${app.operationsUrl}/status`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.bytes.length, 0)
  t.equal((await ask(`${app.operationsUrl}/status`, { method: 'POST' })).status, 404)
  t.equal((await ask(`${app.operationsUrl}/status/other`)).status, 404)
})
