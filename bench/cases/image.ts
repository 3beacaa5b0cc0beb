import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { succeed } from '../../test/clients/support/run-client.js'
import type { Case } from '../case.js'
import { KiB, MiB, newImage } from '../content.js'
import { peakMemory, wallTime } from '../figures.js'
import type { Server } from '../servers/server.js'
import { sideBySide } from '../side-by-side.js'
import { REPOSITORY } from '../upstream/upstream.js'

const LAYERS = 20

/** A whole image with a real client, which hashes all that comes and writes it to the disk. */
function wholeImage(warm: boolean): Case {
  return sideBySide<unknown>({
    name: `image-${warm ? 'warm' : 'cold'}`,
    title: `Whole image of ${LAYERS} layers with skopeo, ${warm ? 'warm' : 'cold'}`,
    servers: ['mirror', 'distribution', 'nginx apr1', 'straight'],
    needs: { command: 'skopeo', package: 'skopeo' },
    figures: [wallTime(), peakMemory()],
    async prepare(stage, servers) {
      const place = join(await stage.newDirectory('skopeo'), 'image')
      const size = stage.sized({ full: 8 * MiB, quick: 20 * KiB })
      let images = 0
      const newTag = async (): Promise<string> => {
        const tag = `image-${warm ? 'warm' : 'cold'}-${++images}`
        await stage.upstream.addImage(tag, newImage(LAYERS, size))
        return tag
      }
      const copy = async (server: Server, tag: string): Promise<void> => {
        await rm(place, { recursive: true, force: true })
        await copyWithSkopeo(server, tag, place)
      }
      const known = warm ? await newTag() : undefined
      if (known !== undefined) for (const server of servers) await copy(server, known)
      return async server => {
        const tag = known ?? (await newTag())
        return () => copy(server, tag)
      }
    },
  })
}

async function copyWithSkopeo(server: Server, tag: string, place: string): Promise<void> {
  const { address, login } = server
  await succeed('skopeo', [
    ...['--insecure-policy', 'copy', '--quiet', '--src-tls-verify=false'],
    ...['--src-creds', `${login.user}:${login.password}`],
    ...[`docker://${address.hostname}:${address.port}/${REPOSITORY}:${tag}`, `dir:${place}`],
  ])
}

export const wholeImages = [wholeImage(false), wholeImage(true)]
