import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { authorization } from '../support/mirror.js'
import { digestOf, emptied, pulled, pulls, startPushing } from '../support/pushing.js'

const MiB = 1024 * 1024

t.setTimeout(120_000)

t.test('pushes that never end take no room from pulls, and go on upstream', async t => {
  const mirror = await startPushing(t, {
    far: { knobs: { layerInaccessibleUntilTagged: false } },
    cache: { maxSize: '40MiB', minFree: '1B' },
  })
  const { url, ecr, begin } = mirror
  const bodies = [30, 6, 6]
  for (const [at, size] of bodies.entries()) {
    const location = await begin()
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    t.teardown(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.write(
      `PATCH ${location} HTTP/1.1\r\nHost: m\r\nAuthorization: ${authorization}\r\nContent-Length: 900000000\r\n\r\n`,
    )
    socket.write(randomBytes(size * MiB))
    const came = (): boolean =>
      ecr.requests.filter(({ method }) => method === 'PATCH').at(at)?.bodyBytes === size * MiB
    while (!came()) await pause(10)
  }
  const blobs = await Promise.all(
    [35, 20].map(async size => {
      const bytes = randomBytes(size * MiB)
      await ecr.putBlob('team/app', bytes)
      return bytes
    }),
  )
  for (const bytes of blobs) {
    t.equal(await pulled(t, mirror, bytes), 'miss', 'it is taken into the cache')
    t.equal(await pulled(t, mirror, bytes), 'hit')
  }
  await emptied(t, mirror, 3)
})

t.test('a push beside one that never ends is kept', async t => {
  const mirror = await startPushing(t, { cache: { maxSize: '100MiB', minFree: '1B' } })
  const bytes = randomBytes(8 * MiB)
  await mirror.step('PATCH', await mirror.begin(), randomBytes(60 * MiB))
  const { location } = await mirror.step('PATCH', await mirror.begin(), bytes)
  t.equal((await mirror.step('PUT', `${location}?digest=${digestOf(bytes)}`)).status, 201)
  await pulls(t, mirror, bytes, 5)
})
