import { createHash, randomInt } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { standIn } from '../clients/support/far-side.js'
import { startMirrorProcess, USER } from '../clients/support/mirror-process.js'
import { scratch } from '../clients/support/scratch.js'
import { inRing } from '../support/ring.js'
import { ask, type PlainAnswer } from '../support/requests.js'

const CYCLES = inRing({ short: 10, long: 50 })
const authorization = `Basic ${Buffer.from(`${USER.name}:${USER.password}`).toString('base64')}`

t.test(
  `a mirror killed at ${CYCLES} random moments under load serves nothing wrong and loses nothing`,
  { timeout: 500_000 },
  async t => {
    const cacheDirectory = join(await scratch(t), 'cache')
    const farSide = await standIn(t, { knobs: { layerInaccessibleUntilTagged: false } })
    const { ecr } = farSide
    const digests: string[] = []
    for (let seed = 0; seed < 60; seed++) {
      digests.push(
        (await ecr.putBlob('team/app', { size: 50_000 + seed * 50_000, seed: String(seed) })).digest,
      )
    }
    /** Those of which a hit has shown that they are stored. */
    const stored = new Set<string>()
    let [pulls, wrong, lost, temporary, leftovers] = [0, 0, 0, 0, 0]
    const ingests = () => readdir(join(cacheDirectory, 'v1/ingest')).catch((): string[] => [])

    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const begun = await ingests()
      const mirror = await startMirrorProcess(t, farSide, { cached: true, cacheDirectory })
      const there = await ingests()
      temporary += begun.length
      leftovers += begun.filter(name => there.includes(name)).length
      const get = (digest: string): Promise<PlainAnswer | undefined> =>
        ask(`${mirror.url}/v2/team/app/blobs/${digest}`, { headers: { authorization } }).catch(
          () => undefined,
        )
      const check = (digest: string, answer: PlainAnswer | undefined): void => {
        if (!answer?.complete || answer.status !== 200) return
        pulls++
        if (`sha256:${createHash('sha256').update(answer.bytes).digest('hex')}` !== digest) wrong++
        else if (answer.headers['x-cache'] === 'hit') stored.add(digest)
      }
      // A password takes its time to be checked; the kills are to come in the midst of pulls.
      await ask(`${mirror.url}/v2/`, { headers: { authorization } })
      const [promised] = [...stored].slice(-1)
      if (promised !== undefined) {
        const answer = await get(promised)
        if (answer?.headers['x-cache'] !== 'hit') lost++
        check(promised, answer)
      }
      let killed = false
      const enough = pulls + randomInt(1, 20)
      const load = Array.from({ length: 8 }, async () => {
        while (!killed) {
          const digest = digests[randomInt(digests.length)]!
          check(digest, await get(digest))
        }
      })
      // By what was done and not by the clock alone, which on a slow machine is over before anything has begun.
      while (pulls < enough) await pause(5)
      await pause(randomInt(100))
      process.kill(mirror.pid, 'SIGKILL')
      killed = true
      await Promise.all(load)
    }

    const mirror = await startMirrorProcess(t, farSide, { cached: true, cacheDirectory })
    const before = ecr.count({ at: 's3' })
    for (const digest of stored) {
      const answer = await ask(`${mirror.url}/v2/team/app/blobs/${digest}`, { headers: { authorization } })
      if (answer.headers['x-cache'] !== 'hit') lost++
    }
    t.comment(`${pulls} pulls, ${stored.size} blobs shown to be stored`)
    t.ok(pulls > CYCLES, 'there was a load')
    t.ok(stored.size > 10, 'there were hits')
    t.equal(wrong, 0, 'nothing wrong was served')
    t.equal(lost, 0, 'nothing that a hit had shown to be stored was lost')
    t.equal(ecr.count({ at: 's3' }), before)
    t.ok(temporary > 0, 'the kills left temporary files')
    t.equal(leftovers, 0, 'no temporary file outlives a start')
  },
)
