import type { Bar, Case, Row } from './case.js'
import { measure, type Measured } from './measure.js'
import type { Server, ServerName } from './servers/server.js'
import type { Stage } from './stage.js'

/** One line of the table, and what of each measurement is in it. */
export interface Figure<Done> {
  readonly name: string
  readonly unit: string
  readonly of: (measured: Measured<Done>) => number | undefined
  readonly bars?: readonly Bar[]
}

/** Puts up what is to be measured, outside of the measurement, and gives the work, which says what it did. */
export type Arrange<Done> = (server: Server) => Promise<() => Promise<Done>>

export interface SideBySide<Done> extends Omit<Case, 'run'> {
  /** Whether the servers speak TLS. */
  readonly secure?: boolean
  readonly figures: readonly Figure<Done>[]
  /** Once, before the rounds. */
  readonly prepare: (stage: Stage, servers: readonly Server[]) => Promise<Arrange<Done>>
}

/** A case that does the same work with every server in turn, in rounds, each of which begins with another one. */
export function sideBySide<Done>({ secure = false, figures, prepare, ...rest }: SideBySide<Done>): Case {
  return {
    ...rest,
    async run(stage) {
      const servers = await stage.start(rest.servers, secure)
      const arrange = await prepare(stage, servers)
      const measured = new Map<ServerName, Measured<Done>[]>(servers.map(({ name }) => [name, []]))
      for (let round = 0; round < stage.rounds; round++) {
        const first = round % servers.length
        for (const server of [...servers.slice(first), ...servers.slice(0, first)]) {
          stage.signal.throwIfAborted()
          const work = await arrange(server)
          measured.get(server.name)?.push(await measure(server.pid, stage.upstream, work))
        }
      }
      return figures.map(figure => rowOf(figure, measured))
    },
  }
}

function rowOf<Done>(
  { name, unit, of, bars = [] }: Figure<Done>,
  measured: ReadonlyMap<ServerName, Measured<Done>[]>,
): Row {
  const samples: Partial<Record<ServerName, number[]>> = {}
  for (const [server, all] of measured) {
    const figures = all.map(of).filter(figure => figure !== undefined)
    if (figures.length > 0) samples[server] = figures
  }
  return { name, unit, samples, bars }
}
