import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { succeed } from './run-client.js'

/** A directory to build an image from, and what will be in the image. */
export interface BuildContext {
  readonly directory: string
  /** Where in the image `noise` is. */
  readonly path: string
  readonly noise: Buffer
}

const NOISE_BYTES = 7 * 1024 * 1024

/** Writes a build context for an image of several layers, one of them too random to be compressed. */
export async function writeBuildContext(directory: string): Promise<BuildContext> {
  await mkdir(directory, { recursive: true })
  const busybox = (await succeed('sh', ['-c', 'command -v busybox'])).trim()
  await copyFile(busybox, join(directory, 'busybox'))
  const noise = randomBytes(NOISE_BYTES)
  await writeFile(join(directory, 'noise'), noise)
  await writeFile(
    join(directory, 'Dockerfile'),
    `\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo made > /made"]
COPY noise /noise
CMD ["/bin/busybox", "cat", "/made"]
`,
  )
  return { directory, path: '/noise', noise }
}
