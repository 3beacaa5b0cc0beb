import { randomBytes } from 'node:crypto'
import { statfs, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { startEcr } from '../ecr/ecr.js'
import { mountDirectory, mountTmpfs, noMounts } from '../store/support/mounts.js'
import { authorization, mirrorOf } from '../support/mirror.js'
import { ask } from '../support/requests.js'

const MiB = 1024 * 1024

t.test('a disk that fills up under a download fails nobody', { skip: noMounts }, async t => {
  const { directory } = mountTmpfs(t, join(mountDirectory(t), 'disk'), '64m')
  const ecr = await startEcr({ knobs: { layerInaccessibleUntilTagged: false, s3: { slow: MiB / 2 } } })
  t.teardown(() => ecr.close())
  const { url, log, fetch } = await mirrorOf(t, ecr, {
    settings: {
      cache: {
        directory: join(directory, 'cache'),
        minFree: '1MiB',
        download: { parts: 2, partSize: '4MiB' },
      },
    },
  })
  const bytes = randomBytes(24 * MiB)
  const { digest } = await ecr.putBlob('team/app', bytes)
  const pulls = Array.from({ length: 5 }, () =>
    ask(`${url}/v2/team/app/blobs/${digest}`, { headers: { authorization } }),
  )
  while (ecr.count({ at: 's3' }) < 2) await pause(20)
  await pause(500)
  const { bavail, bsize } = await statfs(directory)
  await writeFile(join(directory, 'filler'), Buffer.alloc(bavail * bsize)).catch(() => undefined)
  await pause(300)
  ecr.knobs.s3.slow = undefined
  for (const answer of await Promise.all(pulls)) {
    t.equal(answer.status, 200)
    t.ok(answer.complete && answer.bytes.equals(bytes), 'whole and right')
  }
  t.ok(
    log.some(({ msg }) => msg === 'cache trouble'),
    'the trouble was real',
  )
  const during = await fetch(`/v2/team/app/blobs/${digest}`)
  t.equal(during.headers.get('x-cache'), 'bypass', 'while it lasts everything streams')
  t.ok(Buffer.from(await during.arrayBuffer()).equals(bytes))
  await unlink(join(directory, 'filler'))
})
