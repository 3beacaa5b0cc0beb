import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { inRing } from '../support/ring.js'
import { standIn } from './support/far-side.js'
import { writeLayout } from './support/image-layout.js'
import { startMirrorProcess, USER } from './support/mirror-process.js'
import { needs } from './support/required-packages.js'
import { succeed } from './support/run-client.js'
import { scratch } from './support/scratch.js'

const MiB = 1024 ** 2
const SIZE = inRing({ short: 320, long: 1024 }) * MiB
const LIMIT = 200 * MiB

const linux = process.platform === 'linux' ? {} : { skip: 'the peak of resident memory is read from /proc' }

t.test(
  `a layer of ${SIZE / MiB} MiB passes both ways in little memory`,
  { ...needs('skopeo'), ...linux },
  async t => {
    const directory = await scratch(t)
    const farSide = await standIn(t)
    const mirror = await startMirrorProcess(t, farSide)
    const image = `docker://${new URL(mirror.url).host}/team/large:1`
    const creds = `${USER.name}:${USER.password}`
    const peak = async (when: string): Promise<number> => {
      const bytes = await mirror.peakMemory()
      t.comment(`peak resident memory of the mirror ${when}: ${(bytes / MiB).toFixed(1)} MiB`)
      return bytes
    }
    farSide.createRepository('team/large')
    const [source, copy] = [join(directory, 'source'), join(directory, 'copy')]
    const digest = await writeLayout(source, { tag: '1', layers: [SIZE] })
    await peak('before')

    const copied = ['copy', '--preserve-digests']
    await succeed(
      'skopeo',
      [...copied, '--dest-tls-verify=false', '--dest-creds', creds, `oci:${source}:1`, image],
      {
        seconds: 150,
      },
    )
    t.equal(await farSide.digestOf('team/large', '1'), digest)
    t.ok((await peak('after the push')) < LIMIT, 'the push stays under 200 MiB')
    await rm(source, { recursive: true })

    // skopeo checks every digest on its way into the directory.
    await succeed(
      'skopeo',
      [...copied, '--src-tls-verify=false', '--src-creds', creds, image, `dir:${copy}`],
      {
        seconds: 150,
      },
    )
    t.ok((await peak('after the pull')) < LIMIT, 'the pull stays under 200 MiB')
    t.ok(
      farSide.ecr.requests.some(({ bodyBytes }) => bodyBytes > SIZE),
      'the layer arrived in one body',
    )
    t.ok(farSide.ecr.count({ at: 's3', method: 'GET' }) > 0, 'and came back by way of S3')
    t.same(farSide.faults(), [])
    t.same(mirror.errors(), [])
  },
)
