import { createHash } from 'node:crypto'
import { get, type IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { standIn } from '../clients/support/far-side.js'
import { startMirrorProcess, USER } from '../clients/support/mirror-process.js'
import { inRing } from '../support/ring.js'

const MiB = 1024 * 1024
/** With what a mirror that does nothing takes, more than it may have: one that kept the blob in memory would be seen. */
const SIZE = inRing({ short: 160, long: 256 }) * MiB
const CLIENTS = 100
const authorization = `Basic ${Buffer.from(`${USER.name}:${USER.password}`).toString('base64')}`

t.test(
  'a hundred clients on one cold blob: one download, right bytes, little memory',
  { timeout: 500_000 },
  async t => {
    const farSide = await standIn(t, { knobs: { layerInaccessibleUntilTagged: false } })
    const { ecr } = farSide
    const { digest } = await ecr.putBlob('team/app', { size: SIZE, seed: '1' })
    const mirror = await startMirrorProcess(t, farSide, { cached: true })
    const url = `${mirror.url}/v2/team/app/blobs/${digest}`

    const leavers = Math.floor(CLIENTS / 3)
    const pulls = Array.from({ length: CLIENTS }, (_, index) => {
      if (index < leavers) return pull(url, { leaveAt: Math.random() * SIZE })
      return pull(url, index === leavers ? { bytesPerSecond: SIZE / 256 } : {})
    })
    const slow = pulls[leavers]!
    const fast = await Promise.all(pulls.filter(each => each !== slow))
    // The slow one has been seen to stall nobody; what is left of it would take four minutes.
    const slowBytes = slow.leave()
    t.comment(`the slow client had ${Math.round(slowBytes / MiB)} MiB when the others were done`)
    t.ok(slowBytes < SIZE, 'the slow client was still reading')

    const stayed = fast.slice(leavers)
    t.equal(stayed.length, CLIENTS - leavers - 1)
    t.equal(
      stayed.filter(each => each.digest === digest).length,
      stayed.length,
      'every client that stayed has the right bytes',
    )
    const sent = ecr.requests
      .filter(({ at }) => at === 's3')
      .map(({ headers }) => /bytes=(\d+)-(\d+)/.exec(String(headers.range)))
    const asked = sent.reduce((sum, range) => sum + Number(range?.[2]) - Number(range?.[1]) + 1, 0)
    t.equal(asked, SIZE, 'the upstream sent one body')
    const peak = await mirror.peakMemory()
    t.comment(`peak memory ${(peak / MiB).toFixed(1)} MiB`)
    t.ok(peak <= 256 * MiB, 'the mirror stays within 256 MiB')
  },
)

interface Pull extends Promise<{ readonly digest: string | undefined }> {
  /** Ends it; how many bytes it had. */
  leave(): number
}

function pull(
  url: string,
  { leaveAt = Infinity, bytesPerSecond = Infinity }: { leaveAt?: number; bytesPerSecond?: number },
): Pull {
  let bytes = 0
  let leave = (): void => undefined
  const whole = new Promise<{ digest: string | undefined }>((resolve, reject) => {
    const hash = createHash('sha256')
    const request = get(url, { headers: { authorization }, agent: false }, (answer: IncomingMessage) => {
      if (answer.statusCode !== 200) reject(new Error(`answered ${answer.statusCode}`))
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        hash.update(chunk)
        if (bytes >= leaveAt) request.destroy()
        if (bytesPerSecond === Infinity) return
        answer.pause()
        void pause((chunk.length / bytesPerSecond) * 1000).then(() => answer.resume())
      })
      answer.on('close', () =>
        resolve({ digest: answer.complete ? `sha256:${hash.digest('hex')}` : undefined }),
      )
      answer.on('error', () => undefined)
    })
    request.on('error', error => (bytes >= leaveAt ? resolve({ digest: undefined }) : reject(error)))
    leave = () => void request.destroy()
  })
  whole.catch(() => undefined)
  return Object.assign(whole, {
    leave: () => {
      leave()
      return bytes
    },
  })
}
