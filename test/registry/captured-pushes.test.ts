import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import t from 'tap'
import type { EcrOptions } from '../ecr/ecr.js'
import { digestOf, emptied, pieces, pulls, startPushing, type Pushing } from '../support/pushing.js'

const MiB = 1024 * 1024
const smallParts: EcrOptions = { knobs: { minPart: MiB } }

type Way = (mirror: Pushing, bytes: Buffer) => Promise<number>

/** The ways in which clients push; each gives the status of its last answer. */
const WAYS: Readonly<Record<string, Way>> = {
  'as docker does, in one stream of unknown length': async ({ begin, step }, bytes) => {
    const { location } = await step('PATCH', await begin(), Readable.from(pieces(bytes, 100_000)))
    return (await step('PUT', `${location}?digest=${digestOf(bytes)}`)).status
  },
  'in one PUT': async ({ begin, step }, bytes) =>
    (await step('PUT', `${await begin()}?digest=${digestOf(bytes)}`, bytes)).status,
  'in chunks, the last one with the PUT': async ({ begin, step }, bytes) => {
    let location = await begin()
    const last = Math.floor((bytes.length - 1) / MiB) * MiB
    for (let at = 0; at < last; at += MiB) {
      const headers = { 'content-range': `${at}-${at + MiB - 1}` }
      location = (await step('PATCH', location, bytes.subarray(at, at + MiB), headers)).location
    }
    return (await step('PUT', `${location}?digest=${digestOf(bytes)}`, bytes.subarray(last))).status
  },
}

for (const [way, push] of Object.entries(WAYS)) {
  t.test(`what was pushed ${way} is pulled from the disk, from the moment it is there`, async t => {
    const mirror = await startPushing(t, { far: smallParts })
    const bytes = randomBytes(3 * MiB + 5)
    t.equal(await push(mirror, bytes), 201)
    await pulls(t, mirror, bytes)
    t.same(await mirror.ingests(), [])
    t.match(
      mirror.log.filter(({ msg }) => msg === 'captured'),
      [{ digest: digestOf(bytes), size: bytes.length }],
    )
    t.equal(
      (await mirror.fetch(`/v2/team/other/blobs/${digestOf(bytes)}`)).status,
      404,
      'for this repository',
    )
  })
}

t.test('what was pushed with one POST is pulled from the disk', async t => {
  const mirror = await startPushing(t, { far: { profile: 'spec' } })
  const bytes = randomBytes(3 * MiB)
  const { status } = await mirror.step('POST', `/v2/team/app/blobs/uploads/?digest=${digestOf(bytes)}`, bytes)
  t.equal(status, 201)
  await pulls(t, mirror, bytes)
})

t.test('a POST whose blob ECR does not take begins an upload, and nothing is kept of it', async t => {
  const mirror = await startPushing(t)
  mirror.ecr.createRepository('team/app')
  const bytes = randomBytes(MiB)
  const path = `/v2/team/app/blobs/uploads/?digest=${digestOf(bytes)}`
  const { status, location } = await mirror.step('POST', path, bytes)
  t.equal(status, 202)
  await emptied(t, mirror, 1)
  t.equal((await mirror.step('PUT', `${location}?digest=${digestOf(bytes)}`, bytes)).status, 201)
  await pulls(t, mirror, bytes)
})

t.test('an empty blob', async t => {
  const mirror = await startPushing(t)
  const nothing = Buffer.alloc(0)
  t.equal((await mirror.step('PUT', `${await mirror.begin()}?digest=${digestOf(nothing)}`)).status, 201)
  await pulls(t, mirror, nothing, 1)
})

t.test('three pushes of one layer at once are stored once, and rightly', async t => {
  const mirror = await startPushing(t, { far: smallParts })
  const bytes = randomBytes(3 * MiB + 5)
  const [docker, put, chunks] = Object.values(WAYS) as [Way, Way, Way]
  const statuses = await Promise.all([docker, put, chunks].map(push => push(mirror, bytes)))
  t.same(statuses, [201, 201, 201])
  await pulls(t, mirror, bytes)
  await emptied(t, mirror, 2)
  t.equal((await mirror.stored()).length, 1)
  t.equal(mirror.log.filter(({ msg }) => msg === 'captured').length, 1)
})
