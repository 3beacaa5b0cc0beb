import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { App } from '../../../src/app.js'

/** Users with different grants, in the form of ECR_MIRROR_USERS. */
export const USERS =
  'carrier:first long password,watcher:second long password,narrow:third long password,plain:fourth long password'

/** Of these, `watcher` sees all names, `narrow` those of one team, the others none. */
export const POLICY = [
  { principals: ['*'], actions: ['pull', 'push'] },
  { principals: ['watcher'], actions: ['status'] },
  { principals: ['narrow'], repositories: ['team/**'], actions: ['status'] },
]

/** An empty directory for a cache, which goes with the test. */
export async function cacheDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'status-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

export function basic(user: string): string {
  const entry = USERS.split(',').find(each => each.startsWith(`${user}:`)) ?? `${user}:wrong`
  return `Basic ${Buffer.from(entry).toString('base64')}`
}

export interface Looked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** Asks the operations port, as a user or as nobody. */
export async function look(app: App, path = '/status', user?: string): Promise<Looked> {
  const answer = await fetch(app.operationsUrl + path, {
    redirect: 'manual',
    headers: user === undefined ? {} : { authorization: basic(user) },
  })
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

/** What people read of a page, without tags; entities stay as they are. */
export function words(text: string): string {
  return text
    .replace(/<(style|script)>[^]*?<\/\1>/g, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
}

/** Resolves with what `attempt` gives once that is something. */
export async function until<T>(attempt: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const result = await attempt()
    if (result !== undefined && result !== false) return result
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
