import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startMirror } from '../support/mirror.js'

const CDN = 'production.cloudflare.docker.com'
const SIGNATURE = 'signature-of-the-cdn'
const ELSEWHERE = `https://${CDN}/registry-v2/docker/registry/v2/blobs/sha256/aa/data?X-Amz-Signature=${SIGNATURE}`

for (const cached of [true, false])
  t.test(`a layer is served once ECR has imported it, ${cached ? 'with' : 'without'} a cache`, async t => {
    const directory = await mkdtemp(join(tmpdir(), 'importing-'))
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const { ecr, fetch, log } = await startMirror(t, {
      settings: cached ? { cache: { directory } } : {},
    })
    await ecr.putImage('docker-hub/library/nginx', 'v1', { layers: [{ size: 5000, seed: 'layer' }] })
    const layer = await ecr.putBlob('docker-hub/library/nginx', { size: 5000, seed: 'layer' })
    let redirects = 0
    ecr.knobs.redirectTo = presigned => (++redirects <= 2 ? ELSEWHERE : presigned)
    const answer = await fetch(`/v2/docker-hub/library/nginx/blobs/${layer.digest}`)
    t.equal(answer.status, 200)
    t.equal((await answer.arrayBuffer()).byteLength, 5000)
    t.equal(redirects, 3)
    t.notOk(log.some(({ msg }) => msg === 'request refused'))
  })

t.test(
  'a host that stays one that is not allowed is named in the log, and what to do to the client',
  async t => {
    const { ecr, fetch, log } = await startMirror(t)
    await ecr.putImage('team/app', 'v1', { layers: [{ size: 5000, seed: 'layer' }] })
    const layer = await ecr.putBlob('team/app', { size: 5000, seed: 'layer' })
    ecr.knobs.redirectTo = () => ELSEWHERE
    const answer = await fetch(`/v2/team/app/blobs/${layer.digest}`)
    t.equal(answer.status, 502)
    const text = await answer.text()
    t.match(text, /upstream \\"main\\" redirects blobs to a host that is not among its redirectHosts/)
    t.match(text, /add the host to redirectHosts/)
    t.notMatch(text, new RegExp(`${CDN}|X-Amz|${SIGNATURE}`))
    t.equal(ecr.count({ action: 'GetDownloadUrlForLayer' }), 4, 'asked again, a few times')
    t.equal(ecr.count({ action: 'GetObject' }), 0)
    const lines = log.filter(({ msg }) => msg === 'request refused').map(line => JSON.stringify(line))
    t.equal(lines.length, 1)
    t.match(lines[0], new RegExp(`redirected to ${CDN.replaceAll('.', '\\.')}`))
    t.notMatch(JSON.stringify(log), new RegExp(`X-Amz-Signature|${SIGNATURE}`), 'never with what is signed')
  },
)

t.test('a client that leaves while ECR imports ends the asking', async t => {
  const { ecr, fetch } = await startMirror(t)
  await ecr.putImage('team/app', 'v1', { layers: [{ size: 5000, seed: 'layer' }] })
  const layer = await ecr.putBlob('team/app', { size: 5000, seed: 'layer' })
  ecr.knobs.redirectTo = () => ELSEWHERE
  const leaving = fetch(`/v2/team/app/blobs/${layer.digest}`, { signal: AbortSignal.timeout(200) })
  await t.rejects(leaving)
  await ecr.settled()
  const asked = ecr.count({ action: 'GetDownloadUrlForLayer' })
  // Behind another request, by when it would long have been asked again.
  ecr.knobs.latency.ListImages = 1_500
  await fetch('/v2/team/app/tags/list')
  t.ok(ecr.count({ action: 'GetDownloadUrlForLayer' }) <= asked)
})
