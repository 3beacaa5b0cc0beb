/**
 * Work that is done one at a time, with turns: those who wait go in turn by client, so that a client with much to do
 * waits behind itself, and a newcomer for one of each other client at most.
 */
export interface HashQueue {
  /**
   * Does the work in its client's turn. Undefined when it will not be done: there is no room, or it has lost its place,
   * which a client that holds the most of them does to one that comes with less.
   */
  take<T>(client: string, work: () => Promise<T>): Promise<T | undefined>
  /**
   * Does the work when it can, for nobody who waits, in every second turn. What is `preferred` comes first, and what is
   * not is dropped where there is no room. Whoever watches from outside cannot tell: there is as much to do either way.
   * `over` is called when it has been done or dropped.
   */
  takeLater(work: () => Promise<unknown>, preferred: boolean, over: () => void): void
  /** How many are under way or wait, besides those taken for later. */
  readonly waiting: number
  /** How many of the one kind there are at most, and of the other. */
  readonly limit: number
}

interface Waiting {
  start(): Promise<unknown>
  giveUp(): void
}

interface Later {
  readonly preferred: boolean
  start(): Promise<unknown>
  over(): void
}

export function createHashQueue(limit: number): HashQueue {
  /** By client, in the order of their turns; none is empty. */
  const lines = new Map<string, Waiting[]>()
  const later: Later[] = []
  let waiting = 0
  let isBusy = false
  let isTurnOfLater = false

  function next(): (() => Promise<unknown>) | undefined {
    isTurnOfLater = !isTurnOfLater
    const [client, line] = lines.entries().next().value ?? []
    if (client === undefined || line === undefined || (isTurnOfLater && later.length > 0)) {
      const [work] = later.splice(
        Math.max(
          0,
          later.findIndex(each => each.preferred),
        ),
        1,
      )
      return work && (() => work.start().finally(() => work.over()))
    }
    lines.delete(client)
    const first = line.shift()
    if (line.length > 0) lines.set(client, line)
    return first && (() => first.start())
  }

  function goOn(): void {
    if (isBusy) return
    const start = next()
    if (!start) return
    isBusy = true
    void start().finally(() => {
      isBusy = false
      goOn()
    })
  }

  /** Takes the last place from the client with the most, where that leaves it with no less than `client` then has. */
  function makeRoom(client: string): boolean {
    const [most, line] = [...lines].reduce<[string, Waiting[]] | []>(
      (longest, each) => (each[1].length > (longest[1]?.length ?? 0) ? each : longest),
      [],
    )
    if (most === undefined || line === undefined) return false
    if (line.length <= (lines.get(client)?.length ?? 0) + 1) return false
    line.pop()?.giveUp()
    waiting--
    return true
  }

  return {
    take(client, work) {
      if (waiting >= limit && !makeRoom(client)) return Promise.resolve(undefined)
      waiting++
      return new Promise((resolve, reject) => {
        const line = lines.get(client) ?? []
        line.push({
          start: () =>
            work()
              .finally(() => waiting--)
              .then(resolve, reject),
          giveUp: () => resolve(undefined),
        })
        lines.set(client, line)
        goOn()
      })
    },
    takeLater(work, preferred, over) {
      if (later.length >= limit) {
        const loser = preferred ? later.findIndex(each => !each.preferred) : -1
        if (loser < 0) {
          over()
          return
        }
        later.splice(loser, 1).forEach(each => each.over())
      }
      later.push({ preferred, start: () => work().catch(() => undefined), over })
      goOn()
    },
    get waiting() {
      return waiting
    },
    limit,
  }
}
