import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join, relative } from 'node:path'
import { codeOf, hasCode, type FileSystem } from './file-system.js'
import type { Layout } from './layout.js'

/** Another process owns the cache directory. */
export class DirectoryInUse extends Error {
  readonly code = 'EBUSY'

  constructor(readonly directory: string) {
    super(`The cache directory ${directory} is in use by another running mirror; give each its own.`)
    this.name = 'DirectoryInUse'
  }
}

export interface DirectoryLock {
  /** Whether the directory is still this process's own: it may have been removed, or mounted over. */
  intact(): Promise<boolean>
  release(): Promise<void>
}

/** A Unix socket's path holds 107 bytes on Linux and 103 elsewhere. unix(7), "Address format". */
const MAX_SOCKET_PATH = 100

const ATTEMPTS = 10

/**
 * Takes a cache directory for this process by listening on a socket in it, which dies with its process however that
 * ends. The layout's directories must be there. Whoever connects is given to `serve`. Throws DirectoryInUse, or the
 * system's error.
 */
export async function lockDirectory(
  files: FileSystem,
  layout: Layout,
  serve: (socket: Socket) => void = socket => void socket.destroy(),
): Promise<DirectoryLock> {
  const root = await files.open(layout.root, constants.O_RDONLY | constants.O_DIRECTORY)
  const server = createServer(serve)
  const close = async (): Promise<void> => {
    await new Promise(resolve => server.close(resolve))
    await root.close()
  }
  try {
    const own = layout.temporary()
    await listen(server, reachable(layout, root, own))
    const { dev, ino } = await files.lstat(own, { bigint: true })
    // It listens before it has the lock's name, so that a lock that answers nobody is always a dead one.
    await claim(files, layout, own, path => answers(reachable(layout, root, path)))
    await files.unlink(own)
    const intact = async (): Promise<boolean> => {
      const found = await files.lstat(layout.lock, { bigint: true }).catch(() => undefined)
      return found?.dev === dev && found.ino === ino
    }
    return {
      intact,
      release: async () => {
        if (await intact()) await files.unlink(layout.lock).catch(() => undefined)
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A connection to whoever owns a cache directory; undefined when nobody does. Throws the system's error. */
export async function connectToOwner(files: FileSystem, layout: Layout): Promise<Socket | undefined> {
  const root = await files
    .open(layout.root, constants.O_RDONLY | constants.O_DIRECTORY)
    .catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return undefined
      throw error
    })
  if (!root) return undefined
  try {
    return await new Promise<Socket | undefined>((resolve, reject) => {
      const socket = connect(reachable(layout, root, layout.lock))
      socket.once('connect', () => {
        // Until its user listens.
        socket.on('error', () => undefined)
        resolve(socket)
      })
      socket.once('error', error => {
        if (hasCode(error, ...DEAD)) resolve(undefined)
        else reject(error)
      })
    })
  } finally {
    await root.close()
  }
}

/** What a socket that nobody listens on any more answers. */
const DEAD = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK']

/** A form of `path` that is short enough for a socket. */
function reachable({ root }: Layout, handle: FileHandle, path: string): string {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path
  return join(`/proc/self/fd/${handle.fd}`, relative(root, path))
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      // A connection that fails is its client's loss; and the lock alone keeps no process running.
      server.on('error', () => undefined)
      server.unref()
      resolve()
    })
  })
}

async function claim(
  files: FileSystem,
  layout: Layout,
  own: string,
  answers: (path: string) => Promise<boolean>,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      await files.link(own, layout.lock)
      return
    } catch (error) {
      // ENOENT: an owner that was faster has emptied `ingest`.
      if (!hasCode(error, 'EEXIST', 'ENOENT')) throw error
    }
    if (await answers(layout.lock)) throw new DirectoryInUse(layout.directory)
    await removeStale(files, layout, answers)
  }
  throw new DirectoryInUse(layout.directory)
}

/** Takes a dead owner's lock away. Somebody else may have done so, and have put his own there: then it goes back. */
async function removeStale(
  files: FileSystem,
  layout: Layout,
  answers: (path: string) => Promise<boolean>,
): Promise<void> {
  const moved = layout.temporary()
  try {
    await files.rename(layout.lock, moved)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return
    throw error
  }
  if (await answers(moved)) await files.link(moved, layout.lock).catch(() => undefined)
  await files.rm(moved, { recursive: true, force: true })
}

/** Whether somebody listens on the socket at `path`. Throws the system's error when that cannot be told. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', error => {
      const code = codeOf(error)
      // EAGAIN: its queue is full.
      if (code === 'EAGAIN') resolve(true)
      else if (DEAD.includes(code)) resolve(false)
      else reject(error)
    })
  })
}
