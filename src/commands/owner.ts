import * as files from 'node:fs/promises'
import { Pool } from 'undici'
import type { Config } from '../config/schema.js'
import { createLog } from '../operations/log.js'
import { connectToOwner } from '../store/directory-lock.js'
import { layoutOf, type Layout } from '../store/layout.js'
import type { CreateApp } from './serve.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

/** The mirror that owns the cache directory: the one that runs, or one that was started for this command alone. */
export interface Owner {
  /** Requests to it need no login. */
  readonly pool: Pool
  close(): Promise<void>
}

/** The settings of the cache, without which there is nothing to do. Throws a CommandError. */
export function cacheOf({ cache }: Config): NonNullable<Config['cache']> {
  if (cache) return cache
  throw new CommandError('there is no cache: set cache.directory, or give --cache DIRECTORY', EXIT.usage)
}

/**
 * Lets a running owner of the cache directory write down all that it knows, so that what is looked at is what there is.
 * Without one, or where it cannot be reached, what is on the disk has to do.
 */
export async function settleOwner({ directory }: NonNullable<Config['cache']>): Promise<void> {
  const pool = poolTo(layoutOf(directory))
  try {
    await settle(pool)
  } catch {
    // Nobody is there.
  } finally {
    await pool.destroy()
  }
}

/** Reaches the owner of the configured cache directory, by its socket there, and becomes it when there is none. */
export async function reachOwner(
  config: Config,
  createApp: CreateApp,
  { stderr }: Surroundings,
): Promise<Owner> {
  const layout = layoutOf(cacheOf(config).directory)
  const running = await connectToOwner(files, layout).catch((error: unknown) => {
    const { code } = error instanceof Error && 'code' in error ? error : { code: 'unknown reason' }
    throw new CommandError(
      `the mirror that owns ${layout.directory} cannot be reached (${String(code)}); run this as the user that it runs as`,
      EXIT.failed,
    )
  })
  running?.destroy()
  const log = createLog({
    level: 'error',
    format: stderr.isTTY ? 'pretty' : 'json',
    destination: stderr,
  })
  const app = running ? undefined : await createApp(config, { log, portless: true })
  const pool = poolTo(layout)
  return {
    pool,
    async close() {
      await pool.destroy()
      await app?.close(AbortSignal.timeout(0))
    },
  }
}

/** Resolves when the owner has put on the disk what it has fetched and what it knows. */
export async function settle(pool: Pool): Promise<void> {
  const answer = await pool.request({ path: '/settle', method: 'POST' })
  await answer.body.dump()
}

function poolTo(layout: Layout): Pool {
  return new Pool('http://mirror', {
    connect: (_options, done) => {
      connectToOwner(files, layout).then(
        socket => (socket ? done(null, socket) : done(new Error('The mirror has ended.'), null)),
        (error: unknown) => done(error instanceof Error ? error : new Error(String(error)), null),
      )
    },
    // A blob's body may wait for the upstream; the mirror itself gives up on that.
    bodyTimeout: 0,
    headersTimeout: 60_000,
  })
}
