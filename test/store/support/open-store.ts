import type { Test } from 'tap'
import { openDiskStore, type DiskStore, type DiskStoreOptions } from '../../../src/store/disk-store.js'
import type { FileSystem } from '../../../src/store/file-system.js'

/** Opens a store with room enough, which is closed with the test. */
export async function openStore(
  t: Test,
  directory: string,
  options: Partial<DiskStoreOptions> = {},
  files?: FileSystem,
): Promise<DiskStore> {
  const store = await openDiskStore({ directory, maxSize: 1 << 30, minFree: { bytes: 0 }, ...options }, files)
  t.teardown(() => store.close())
  return store
}
