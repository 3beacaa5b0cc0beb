import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { USER } from './mirror-process.js'
import { succeed } from './run-client.js'

/** Pulls an image so many times with skopeo, each time as somebody who has nothing of it yet. */
export async function pullMany(image: string, times: number, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  let begun = 0
  const next = async (): Promise<void> => {
    while (begun < times) {
      const target = join(directory, String(begun++))
      await succeed('skopeo', [
        ...['copy', '--src-tls-verify=false', '--src-creds', `${USER.name}:${USER.password}`],
        ...[`docker://${image}`, `dir:${target}`],
      ])
      await rm(target, { recursive: true })
    }
  }
  await Promise.all([next(), next(), next()])
}
