import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import type { Ecr } from '../ecr/ecr.js'
import { authorization, startMirror } from '../support/mirror.js'
import { inRing } from '../support/ring.js'

const DIGEST = `sha256:${'a'.repeat(64)}`

const CLIENTS = inRing({ short: 2_400, long: 10_000 })

t.test(`${CLIENTS} clients that leave before ECR answers leave nothing open`, async t => {
  const { url, ecr, fetch } = await startMirror(t)
  await ecr.putImage('team/app', 'v1')
  await fetch('/v2/')
  const never = 1_000_000
  ecr.knobs.hang = {
    BatchGetImage: never,
    GetDownloadUrlForLayer: never,
    ListImages: never,
    InitiateLayerUpload: never,
    BatchCheckLayerAvailability: never,
    BatchDeleteImage: never,
    PutImage: never,
    UploadLayerPart: never,
  }
  const requests = [
    'GET /v2/team/app/manifests/v1',
    'HEAD /v2/team/app/manifests/v1',
    `GET /v2/team/app/blobs/${DIGEST}`,
    `HEAD /v2/team/app/blobs/${DIGEST}`,
    'GET /v2/team/app/tags/list',
    'POST /v2/team/app/blobs/uploads/',
  ]
  for (let sent = 0; sent < CLIENTS; sent += 200) {
    const sockets = await Promise.all(
      Array.from({ length: 200 }, (_, index) => leave(url, requests[index % requests.length]!)),
    )
    await pause(5)
    for (const socket of sockets) socket.destroy()
  }
  await settled(ecr)
  t.equal(ecr.open, 0, 'no upstream request is left open')
  const reached = ecr.count(({ at, aborted }) => at === 'registry' && aborted)
  t.comment(`${reached} of them had reached ECR`)
  t.ok(reached > CLIENTS / 10, 'many had reached it')
  ecr.knobs.hang = {}
  t.equal((await fetch('/v2/team/app/manifests/v1')).status, 200, 'the next request is served')
})

t.test('a client that leaves in the middle of a blob ends its download', async t => {
  const { url, ecr } = await startMirror(t, {
    ecr: { knobs: { layerInaccessibleUntilTagged: false, s3: { slow: 200_000 } } },
  })
  const { digest } = await ecr.putBlob('team/app', randomBytes(5_000_000))
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write(
    `GET /v2/team/app/blobs/${digest} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\n\r\n`,
  )
  await new Promise(resolve => socket.once('data', resolve))
  socket.destroy()
  await settled(ecr)
  t.equal(ecr.open, 0)
  t.equal(ecr.requests.find(({ at }) => at === 's3')?.aborted, true)
})

/** Sends a request's head and leaves without waiting. */
function leave(url: string, request: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(
        `${request} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\nContent-Length: 0\r\n\r\n`,
        () => resolve(socket),
      )
    })
    socket.on('error', reject)
  })
}

/** Waits until the far side has no request open, for ten seconds at most. */
async function settled(ecr: Ecr): Promise<void> {
  for (let tries = 0; tries < 1000 && ecr.open > 0; tries++) await pause(10)
}
