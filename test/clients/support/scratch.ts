import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** An empty directory with a short path, as Unix sockets need it; removed when the test ends. */
export async function scratch(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mirror-clients-'))
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  return directory
}
