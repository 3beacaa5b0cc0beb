import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createApp } from '../src/app.js'
import { loadConfig } from '../src/config/load.js'
import type { Config } from '../src/config/schema.js'
import { createLog } from '../src/operations/log.js'
import { createTokenSources, type TokenSources } from '../src/upstream/token-sources.js'
import { makeCertificate } from './support/certificate.js'
import { isInstalled } from './support/installed.js'
import { usersFile } from './support/users.js'

const needsOpenssl = isInstalled('openssl') ? {} : { skip: 'openssl is not installed here' }
const log = createLog({ level: 'silent', format: 'json', destination: process.stderr })
const HOST = '123456789012.dkr.ecr.us-east-1.amazonaws.com'

/** Token sources that say how many are open. */
function counted(): { readonly tokens: TokenSources; readonly open: () => number } {
  const all = createTokenSources(() => ({
    issueToken: () => Promise.reject(new Error('there is none')),
    close: () => undefined,
  }))
  let open = 0
  return {
    open: () => open,
    tokens: {
      open: request => {
        const source = all.open(request)
        open++
        return {
          ...source,
          close: () => {
            open--
            source.close()
          },
        }
      },
    },
  }
}

/** A configuration with everything that can fail, and ways to break each part of it. */
async function settingsOf(t: Test) {
  const directory = t.testdir({ users: await usersFile(), broken: 'no certificate', audit: {} })
  const pair = makeCertificate(directory, 'mirror.test')
  await writeFile(
    `${directory}/mirror.json`,
    JSON.stringify({
      listen: '127.0.0.1:0',
      operations: { listen: '127.0.0.1:0' },
      tls: { certificate: pair.certificate, key: pair.key },
      users: { htpasswd: 'users' },
      audit: { file: 'audit/log' },
      cache: { directory: 'cache' },
      upstreams: ['one', 'two'].map(name => ({
        name,
        host: HOST,
        endpoint: 'http://127.0.0.1:9',
        ...(name === 'one' ? { default: true } : { repositoryPrefix: name }),
      })),
    }),
  )
  const { config } = await loadConfig({ flags: { config: `${directory}/mirror.json` }, env: {} })
  const [one, two] = config.upstreams
  const [tls] = config.tls
  const broken: Record<string, Config> = {
    certificate: { ...config, tls: [{ ...tls!, certificate: `${directory}/broken` }] },
    'certificate of a later entry': { ...config, tls: [tls!, { ...tls!, key: `${directory}/none` }] },
    clientCa: { ...config, tls: [{ ...tls!, clientCa: `${directory}/broken` }] },
    'users file': { ...config, users: { ...config.users, htpasswd: `${directory}/none` } },
    'second upstream': { ...config, upstreams: [one!, { ...two!, host: 'registry.example' }] },
    'audit log': { ...config, audit: { file: `${directory}/none/log` } },
  }
  return { directory, config, broken }
}

t.test('a reload that fails at any step leaves open what was open', needsOpenssl, async t => {
  const { config, broken } = await settingsOf(t)
  const { tokens, open } = counted()
  const app = await createApp(config, { log, upstreams: { tokens } })
  t.teardown(() => app.close(AbortSignal.abort()))
  t.equal(open(), 2)
  for (const [what, fresh] of Object.entries(broken)) {
    const failed = await app.reload(fresh).then(
      () => false,
      () => true,
    )
    t.equal(failed, true, what)
    t.equal(open(), 2, what)
  }
  await app.reload(config)
  t.equal(open(), 2, 'those before are closed')
  await app.close(AbortSignal.abort())
  t.equal(open(), 0)
  await app.reload(config).catch(() => undefined)
  t.equal(open(), 0, 'nor does a reload that comes too late open any')
})

t.test('a start that fails at any step leaves nothing open', needsOpenssl, async t => {
  const { directory, config, broken } = await settingsOf(t)
  const { tokens, open } = counted()
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  t.teardown(() => new Promise(resolve => taken.close(resolve)))
  const { port } = taken.address() as AddressInfo
  const owned: Config = { ...config, cache: { ...config.cache!, directory: `${directory}/owned` } }
  const owner = await createApp(owned, { log })
  t.teardown(() => owner.close(AbortSignal.abort()))
  const failing: Record<string, Config> = {
    ...broken,
    'cache directory': owned,
    'a port': { ...config, listen: [{ host: '127.0.0.1', port }] },
    'the port for operations': {
      ...config,
      operations: { ...config.operations, listen: { host: '127.0.0.1', port } },
    },
  }
  for (const [what, each] of Object.entries(failing)) {
    await t.rejects(createApp(each, { log, upstreams: { tokens } }), what)
    t.equal(open(), 0, what)
  }
  const app = await createApp(config, { log, upstreams: { tokens } })
  t.pass('nor is the cache directory still owned')
  await app.close(AbortSignal.abort())
  t.equal(open(), 0)
})
