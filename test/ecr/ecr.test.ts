import { execFile, spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { ask } from './ask.js'
import { digestOfBytes } from './content.js'
import { startEcr, type EcrOptions } from './ecr.js'

const run = promisify(execFile)
const skip = spawnSync('skopeo', ['--version']).error ? 'skopeo is not installed' : false

for (const profile of ['ecr', 'spec'] as const) {
  t.test(`skopeo pulls from it and pushes to it (${profile})`, { skip }, async t => {
    const ecr = await started(t, { profile, knobs: { loopbackHost: true, createOnPush: ['pushed/'] } })
    const image = await ecr.putImage('team/hello', '1.0', { format: 'oci' })
    const registry = `docker://${new URL(ecr.url).host}`
    const creds = `AWS:${ecr.token().password}`
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false']
    const copy = (options: string[], from: string, to: string) =>
      run('skopeo', ['copy', ...plain, ...options, from, to])
    const directory = `dir:${t.testdir()}/image`
    await copy(['--src-creds', creds], `${registry}/team/hello:1.0`, directory)
    t.strictSame(await readFile(`${directory.slice(4)}/manifest.json`), image.bytes)
    await copy(['--dest-creds', creds], directory, `${registry}/pushed/hello:2`)
    t.strictSame(ecr.manifest('pushed/hello', '2')?.bytes, image.bytes)
    t.equal(ecr.blob('pushed/hello', image.layers[0]?.digest ?? '')?.size, image.layers[0]?.size)
    await t.rejects(copy(['--src-creds', 'AWS:wrong'], `${registry}/team/hello:1.0`, `${directory}2`))
  })
}

t.test('a large upload is kept in a file that goes when the stand-in closes', async t => {
  const directory = t.testdir()
  const ecr = await startEcr({ temporaryDirectory: directory })
  ecr.createRepository('a')
  const blob = Buffer.alloc(17 * 1024 * 1024, 'x')
  const start = async () => {
    const { headers } = await ask(ecr, '/v2/a/blobs/uploads/', { method: 'POST' })
    return new URL(headers.location ?? '').pathname
  }
  const path = await start()
  t.equal((await ask(ecr, path, { method: 'PATCH', body: blob })).status, 201)
  const digest = digestOfBytes(blob)
  t.equal((await ask(ecr, `${path}?digest=${digest}`, { method: 'PUT' })).status, 201)
  t.ok((await ecr.blob('a', digest)?.bytes())?.equals(blob))
  t.equal(ecr.count({ action: 'UploadLayerPart' }), 1)
  t.equal(ecr.requests.find(each => each.action === 'UploadLayerPart')?.bodyBytes, blob.length)
  t.equal((await ask(ecr, await start(), { method: 'PATCH', body: blob })).status, 201)
  t.equal(ecr.uploads, 1, 'one is never ended')
  t.equal((await readdir(directory)).length, 1)
  await ecr.close()
  t.strictSame(await readdir(directory), [])
})

t.test('a port that is taken is an error and leaves nothing behind', async t => {
  const ecr = await started(t)
  const directory = t.testdir()
  const port = Number(new URL(ecr.url).port)
  await t.rejects(startEcr({ port, temporaryDirectory: directory }), { code: 'EADDRINUSE' })
  await t.rejects(startEcr({ s3Port: port, temporaryDirectory: directory }), { code: 'EADDRINUSE' })
  t.strictSame(await readdir(directory), [])
})

t.test('every request is recorded as it came', async t => {
  const ecr = await started(t)
  await ask(ecr, '/v2/a%2Fb/tags/list?n=1', { headers: { 'X-Odd': ['1', '2'] } })
  t.match(ecr.requests, [
    { at: 'registry', method: 'GET', url: '/v2/a%2Fb/tags/list?n=1', host: ecr.host, action: 'ListImages' },
  ])
  t.match(ecr.requests[0], {
    status: 404,
    done: true,
    aborted: false,
    account: '123456789012',
    region: 'us-east-1',
  })
  t.strictSame(
    ecr.requests[0]?.rawHeaders.filter((_, index, all) => all[index - 1] === 'X-Odd'),
    ['1', '2'],
  )
})

async function started(t: { teardown: (end: () => unknown) => unknown }, options?: EcrOptions) {
  const ecr = await startEcr(options)
  t.teardown(() => ecr.close())
  return ecr
}
