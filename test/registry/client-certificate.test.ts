import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeCertificate } from '../support/certificate.js'
import { authorization, startMirror } from '../support/mirror.js'

t.test('a client certificate of the configured authority is who it names', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'certificates-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const server = makeCertificate(directory, 'mirror.test')
  const authority = makeCertificate(directory, 'authority')
  const stranger = makeCertificate(directory, 'agent', 'stranger')
  const agent = signedBy(directory, authority, 'agent')
  const { url, ecr } = await startMirror(t, {
    settings: {
      tls: { certificate: server.certificate, key: server.key, clientCa: authority.certificate },
      policy: [
        { principals: ['cert:agent'], repositories: ['team/**'], actions: ['pull'] },
        { principals: ['*'], repositories: ['team/**'], actions: ['pull'] },
      ],
    },
  })
  await ecr.putImage('team/app', 'v1')
  await ecr.putImage('secret/app', 'v1')
  const status = async (
    path: string,
    files?: { certificate: string; key: string },
    headers = {},
  ): Promise<number> => {
    const [cert, key] = await Promise.all([
      files && readFile(files.certificate),
      files && readFile(files.key),
    ])
    return new Promise((resolve, reject) => {
      const options = {
        headers,
        ca: server.pem,
        servername: 'mirror.test',
        agent: false as const,
        ...(cert && key && { cert, key }),
      }
      request(url + path, options, answer => answer.resume().on('end', () => resolve(answer.statusCode ?? 0)))
        .on('error', reject)
        .end()
    })
  }
  t.equal(await status('/v2/', agent), 200, 'it needs no login')
  t.equal(await status('/v2/team/app/manifests/v1', agent), 200)
  t.equal(await status('/v2/secret/app/manifests/v1', agent), 403, 'it has the grants of its name')
  t.equal(await status('/v2/team/app/manifests/v1', stranger), 401, 'one that it signed itself is nobody')
  t.equal(await status('/v2/team/app/manifests/v1'), 401, 'and so is none')
  t.equal(
    await status('/v2/team/app/manifests/v1', undefined, { authorization }),
    200,
    'who logs in needs none',
  )
})

function signedBy(directory: string, authority: { certificate: string; key: string }, name: string) {
  const [key, csr, certificate] = ['key', 'csr', 'crt'].map(ending =>
    join(directory, `signed-${name}.${ending}`),
  ) as [string, string, string]
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' })
  openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    key,
    '-out',
    csr,
    '-subj',
    `/CN=${name}`,
  )
  openssl(
    'x509',
    '-req',
    '-in',
    csr,
    '-CA',
    authority.certificate,
    '-CAkey',
    authority.key,
    '-CAcreateserial',
    '-days',
    '2',
    '-out',
    certificate,
  )
  return { certificate, key }
}
