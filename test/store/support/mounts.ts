import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** Why nothing can be mounted here; false when it can. */
export const noMounts: string | false =
  process.platform !== 'linux' || process.getuid?.() !== 0
    ? 'mounting needs root on Linux'
    : !mountWorks()
      ? 'this system lets nobody mount'
      : false

/** Why no image can be mounted here; false when it can. */
export const noImages: string | false =
  noMounts ||
  (!existsSync('/dev/loop-control')
    ? 'there are no loop devices'
    : !['/sbin/mkfs.ext4', '/usr/sbin/mkfs.ext4'].some(existsSync)
      ? 'there is no mkfs.ext4'
      : false)

function mountWorks(): boolean {
  try {
    run('unshare', '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt')
    return true
  } catch {
    return false
  }
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

export interface Mounted {
  readonly directory: string
  remount(options: string): void
  /** Further calls do nothing. */
  unmount(): void
}

/** A directory to mount in, which goes after what is mounted in it later; in memory where that can be. */
export function mountDirectory(t: Test): string {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'mounts-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Mounts at `directory`, which is made, until the test ends. */
function mount(t: Test, directory: string, ...args: readonly string[]): Mounted {
  mkdirSync(directory, { recursive: true })
  run('mount', ...args, directory)
  let mounted = true
  const unmount = (): void => {
    if (!mounted) return
    mounted = false
    try {
      run('umount', directory)
    } catch {
      // Still in use; it goes when that ends.
      run('umount', '--lazy', directory)
    }
  }
  t.teardown(unmount)
  return { directory, remount: options => run('mount', '-o', `remount,${options}`, directory), unmount }
}

export function mountTmpfs(t: Test, directory: string, size: string): Mounted {
  return mount(t, directory, '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs')
}

export function mountImage(t: Test, image: string, directory: string): Mounted {
  return mount(t, directory, '-o', 'loop', image)
}

/** An ext4 file system in a file of `size` bytes. */
export function makeImage(image: string, size: number): void {
  writeFileSync(image, '')
  truncateSync(image, size)
  run('mkfs.ext4', '-q', '-F', image)
}
