import { randomUUID } from 'node:crypto'
import * as files from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { inUnits } from '../commands/in-units.js'
import type { Config } from '../config/schema.js'
import { connectToOwner } from '../store/directory-lock.js'
import { codeOf, hasCode } from '../store/file-system.js'
import { layoutOf } from '../store/layout.js'
import { wordsOf } from './failure.js'
import { fileSystemKind } from './file-system-kind.js'
import { failed, ok, skipped, warning, type Finding } from './finding.js'

const NAME = 'cache'

type CacheConfig = NonNullable<Config['cache']>

/** Whether the cache directory can be one. Takes no lock and leaves nothing behind, so that it passes beside its owner. */
export async function checkCache({ cache }: Config): Promise<Finding[]> {
  if (!cache) return [skipped(NAME, 'there is no cache; everything streams through')]
  const { directory } = cache
  try {
    const standing = await nearest(directory)
    const trouble = await writeTrouble(standing, directory)
    if (trouble) return [trouble]
    const exists = standing === directory
    const found = [await spaceOf(cache, standing)]
    if (exists) found.push(...(await rightsOf(directory)), await ownerOf(directory))
    else found.push(ok(NAME, `it is not there yet, and can be made in ${standing}`))
    return found.every(({ result }) => result === 'ok') ? [together(found)] : found
  } catch (error) {
    return [unusable(directory, error)]
  }
}

function together(found: readonly Finding[]): Finding {
  return ok(NAME, found.map(({ detail }) => detail).join('; '))
}

/** The directory, or what there is of the way to it. Throws the system's error. */
async function nearest(path: string): Promise<string> {
  try {
    const stat = await files.stat(path)
    if (!stat.isDirectory()) throw Object.assign(new Error(`${path} is no directory`), { code: 'ENOTDIR' })
    return path
  } catch (error) {
    if (!hasCode(error, 'ENOENT') || dirname(path) === path) throw error
    return nearest(dirname(path))
  }
}

/** Tries what the cache does all day: write a file, sync it, remove it. */
async function writeTrouble(standing: string, directory: string): Promise<Finding | undefined> {
  const { root } = layoutOf(directory)
  const inside = await files.stat(root).then(
    stat => (stat.isDirectory() ? [root] : []),
    () => [],
  )
  for (const each of [standing, ...inside]) {
    try {
      await writeAndRemove(join(each, `.ecr-mirror-check-${randomUUID()}`))
    } catch (error) {
      return unusable(each, error)
    }
  }
  return undefined
}

async function writeAndRemove(file: string): Promise<void> {
  const handle = await files.open(file, 'wx', 0o600)
  try {
    await handle.writeFile(Buffer.alloc(4096))
    await handle.sync()
  } finally {
    await handle.close()
    await files.unlink(file)
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOTDIR: 'name a directory as cache.directory, with nothing but directories above it',
  EACCES:
    'give it to the user that the mirror runs as (the image: chown 65532), and run this check as that user',
  EPERM:
    'give it to the user that the mirror runs as (the image: chown 65532), and run this check as that user',
  EROFS: 'mount a volume there that can be written (docker: --volume, Kubernetes: volumeMounts)',
  ENOSPC: 'make room on that disk, or take a larger one; maxSize and minFree say how much the cache takes',
  EDQUOT: 'raise the quota of the user that the mirror runs as',
}

function unusable(directory: string, error: unknown): Finding {
  const code = codeOf(error)
  return failed(
    NAME,
    `${directory} cannot be written: ${wordsOf(error)}`,
    ADVICE[code] ?? 'look at the disk (dmesg); until then everything streams past the cache',
  )
}

async function spaceOf({ directory, maxSize, minFree }: CacheConfig, standing: string): Promise<Finding> {
  const { bavail, blocks, bsize, type } = await files.statfs(standing)
  const [free, total] = [bavail * bsize, blocks * bsize]
  const floor = 'bytes' in minFree ? minFree.bytes : (total * minFree.percent) / 100
  const { name, objection } = fileSystemKind(type)
  const told = `${directory}: ${name}, ${inUnits(free)} of ${inUnits(total)} free`
  if (free < floor)
    return failed(
      NAME,
      `${told}, less than minFree (${inUnits(Math.round(floor))}), so that nothing more is stored`,
      'make room on that disk, take a larger one, or lower cache.minFree',
    )
  if (objection !== undefined)
    return warning(NAME, `${told}; ${objection}`, 'put it on a disk of this machine if you can')
  if (total - floor < maxSize)
    return warning(
      NAME,
      `${told}, and maxSize is ${inUnits(maxSize)}: the disk is full before the cache is`,
      `set cache.maxSize to less than ${inUnits(Math.max(0, Math.round(total - floor)))}`,
    )
  return ok(NAME, told)
}

async function rightsOf(directory: string): Promise<Finding[]> {
  const { mode, uid } = await files.stat(directory)
  const own = userInfo().uid
  const told = `owner ${uid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`
  const findings: Finding[] = []
  if (uid !== own)
    findings.push(
      warning(
        NAME,
        `${told}, while this runs as ${own}`,
        'run this check as the user that the mirror runs as, else it says little about what the mirror may do',
      ),
    )
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)
    findings.push(
      warning(NAME, `${told}: others than its owner can put files into it`, `chmod 0700 ${directory}`),
    )
  return findings.length > 0 ? findings : [ok(NAME, `can be written; ${told}`)]
}

async function ownerOf(directory: string): Promise<Finding> {
  try {
    const socket = await connectToOwner(files, layoutOf(directory))
    socket?.destroy()
    return ok(NAME, socket ? 'a running mirror owns it' : 'no running mirror owns it')
  } catch (error) {
    return warning(
      NAME,
      `whether a running mirror owns it cannot be told: ${wordsOf(error)}`,
      'run this check as the user that the mirror runs as',
    )
  }
}
