/** Sends wrong logins, in a process of its own, while it is told to: `{ url, addresses }` begins, anything else ends. */
import { randomBytes } from 'node:crypto'
import { atRate } from './at-rate.js'
import { Connections } from './connections.js'
import { request } from './stage.js'

export interface Flood {
  readonly url: string
  /** From how many addresses, all of 127.0.0.0/8. */
  readonly addresses: number
  readonly perSecond: number
}

/** How many were sent, and how many were answered by status. */
export interface Flooded {
  readonly sent: number
  readonly statuses: Readonly<Record<number, number>>
}

let ending: AbortController | undefined

process.on('message', (flood: Flood | 'end') => {
  if (flood === 'end') ending?.abort()
  else void run(flood)
})
process.on('disconnect', () => process.exit())

async function run({ url, addresses, perSecond }: Flood): Promise<void> {
  ending = new AbortController()
  const statuses: Record<number, number> = {}
  const connections = Array.from(
    { length: addresses },
    (_, index) => new Connections(url, `127.0.0.${index + 2}`),
  )
  let sent = 0
  await atRate(
    perSecond,
    3600,
    index => {
      sent++
      const guess = randomBytes(6).toString('hex')
      // Names that exist and names that do not.
      const name = index % 2 === 0 ? `user${index % 10}` : guess
      connections[index % addresses]?.send(request('/v2/', name, guess), status => {
        statuses[status] = (statuses[status] ?? 0) + 1
      })
    },
    ending.signal,
  )
  for (const each of connections) each.close()
  process.send?.({ sent, statuses } satisfies Flooded)
}
