import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { startEcr, type Ecr, type EcrOptions } from '../ecr/ecr.js'
import { authorization, mirrorOf, type MirrorUnderTest } from './mirror.js'
import { ask } from './requests.js'

/** As clients write it. */
export const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A mirror with a cache, its far side, and what pushes do to both. */
export interface Pushing extends MirrorUnderTest {
  /** One request of an upload. */
  readonly step: (method: string, path: string, body?: Buffer | Readable, headers?: object) => Promise<Step>
  /** The Location of a new upload. */
  readonly begin: (repository?: string) => Promise<string>
  /** The files that are on their way in. */
  readonly ingests: () => Promise<string[]>
  /** The files that are stored. */
  readonly stored: () => Promise<string[]>
}

export interface Step {
  readonly status: number
  readonly location: string
}

export interface PushingOptions {
  readonly ecr?: Ecr
  readonly far?: EcrOptions
  readonly directory?: string
  readonly cache?: object
  readonly settings?: object
}

export async function startPushing(
  t: Test,
  { ecr, far, directory, cache, settings }: PushingOptions = {},
): Promise<Pushing> {
  const farSide = ecr ?? (await startEcr(far))
  if (!ecr) t.teardown(() => farSide.close())
  const place = directory ?? (await mkdtemp(join(tmpdir(), 'cache-')))
  if (!directory) t.teardown(() => rm(place, { recursive: true, force: true }))
  const mirror = await mirrorOf(t, farSide, {
    settings: { cache: { directory: place, ...cache }, ...settings },
  })
  const step: Pushing['step'] = async (method, path, body, headers = {}) => {
    const answer = await ask(mirror.url + path, {
      method,
      headers: { authorization, ...(Buffer.isBuffer(body) && { 'content-length': body.length }), ...headers },
      ...(body && { body }),
    })
    return { status: answer.status, location: String(answer.headers.location) }
  }
  const ingests = (): Promise<string[]> => readdir(join(place, 'v1/ingest'))
  return {
    ...mirror,
    step,
    async begin(repository = 'team/app') {
      farSide.createRepository(repository)
      return (await step('POST', `/v2/${repository}/blobs/uploads/`)).location
    },
    ingests,
    async stored() {
      const names = await readdir(join(place, 'v1/blobs'), { recursive: true }).catch(() => [])
      return names.filter(name => name.split('/').length === 3)
    },
  }
}

/** Waits for so many captures to be dropped, which happens beside the answer and not before it. */
export async function emptied(t: Test, { ingests, log }: Pushing, dropped: number, left = 0): Promise<void> {
  const drops = (): number => log.filter(({ msg }) => msg === 'capture dropped').length
  let names = await ingests()
  for (let tries = 0; tries < 500 && (drops() < dropped || names.length !== left); tries++) {
    await pause(10)
    names = await ingests()
  }
  t.equal(drops(), dropped, 'dropped')
  t.equal(names.length, left, 'on the way in')
}

/** Pulls a blob many times at once, which has to cost nothing upstream. */
export async function pulls(t: Test, { url, ecr }: Pushing, bytes: Buffer, count = 50): Promise<void> {
  const before = ecr.requests.length
  const answers = await Promise.all(
    Array.from({ length: count }, () =>
      ask(`${url}/v2/team/app/blobs/${digestOf(bytes)}`, { headers: { authorization } }),
    ),
  )
  t.same([...new Set(answers.map(({ status }) => status))], [200])
  t.ok(answers.every(answer => answer.complete && answer.bytes.equals(bytes)))
  t.same([...new Set(answers.map(({ headers }) => headers['x-cache']))], ['hit'])
  t.equal(ecr.requests.length, before, 'neither ECR nor its storage is asked')
}

/** What the next pull comes from. */
export async function pulled(t: Test, { fetch }: MirrorUnderTest, bytes: Buffer): Promise<string | null> {
  const answer = await fetch(`/v2/team/app/blobs/${digestOf(bytes)}`)
  t.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes), 'the right bytes')
  return answer.headers.get('x-cache')
}

/** The bytes in pieces of so many. */
export function* pieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
