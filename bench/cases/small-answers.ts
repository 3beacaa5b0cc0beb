import type { Case } from '../case.js'
import { pull } from '../client/client.js'
import { load } from '../client/load.js'
import { blobWanted, manifestWanted, type Wanted } from '../client/wanted.js'
import { KiB, newBlobs, newImage } from '../content.js'
import { sideBySide } from '../side-by-side.js'
import type { Stage } from '../stage.js'

const CONNECTIONS = 32

/** Many small things that the server has, as many as it can answer. */
function smallAnswers(name: string, title: string, put: (stage: Stage) => Promise<Wanted[]>): Case {
  return sideBySide<number>({
    name,
    title: `${title}, ${CONNECTIONS} connections`,
    servers: ['mirror', 'distribution', 'nginx apr1', 'nginx bcrypt'],
    figures: [
      {
        name: 'requests',
        unit: '/s',
        of: ({ done, seconds }) => done / seconds,
        bars: [
          { against: 'distribution', atLeast: 10 },
          {
            against: 'nginx apr1',
            atLeast: 2,
            hurdle: 'nginx shares them among processes; the mirror has one',
          },
          { against: 'nginx bcrypt', atLeast: 20, hurdle: 'as with apr1' },
        ],
      },
      { name: 'CPU', unit: 'ms/1000', of: ({ cpuSeconds, done }) => cpuSeconds && (cpuSeconds * 1e6) / done },
    ],
    async prepare(stage, servers) {
      const wanted = await put(stage)
      for (const server of servers) for (const each of wanted) await pull(server, each, stage.verify)
      const least = stage.sized({ full: 0, quick: 2 * CONNECTIONS })
      const milliseconds = stage.sized({ full: 4000, quick: 0 })
      return async server => async () => {
        const end = performance.now() + milliseconds
        const goesOn = (requests: number): boolean => requests < least || performance.now() < end
        return load(server, wanted, { connections: CONNECTIONS, verify: stage.verify, goesOn })
      }
    },
  })
}

export const smallBlobs = smallAnswers('small-blobs', 'Warm small blobs', async ({ upstream, sized }) => {
  const blobs = newBlobs(sized({ full: 100, quick: 4 }), 4 * KiB)
  await upstream.add(...blobs)
  return blobs.map(blobWanted)
})

export const manifestsByDigest = manifests('manifests', 'Warm manifests by digest', false)
export const manifestsByTag = manifests('tags', 'Warm manifests by tag', true)

function manifests(name: string, title: string, byTag: boolean): Case {
  return smallAnswers(name, title, async ({ upstream, sized }) => {
    const wanted: Wanted[] = []
    for (let number = 0; number < sized({ full: 20, quick: 2 }); number++) {
      const [image, tag] = [newImage(20, KiB), `${name}-${number}`]
      await upstream.addImage(tag, image)
      wanted.push(manifestWanted(image, byTag ? tag : undefined))
    }
    return wanted
  })
}
