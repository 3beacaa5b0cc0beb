import type {
  BystanderAnswer,
  BystanderOrder,
  OnePull,
  Pulled,
  PullOutcome,
  Seen,
} from './bystander-order.js'
import { startChild } from './child.js'

export interface Bystander {
  begin(pulled: Pulled): void
  /** Ends what was begun. */
  end(): Promise<Seen>
  /** Pulls something else besides, once. */
  pull(pull: OnePull): Promise<PullOutcome>
  close(): Promise<void>
}

export async function startBystander(): Promise<Bystander> {
  const { child, close } = await startChild('bystander-process')
  const waiting = new Map<number, (outcome: PullOutcome) => void>()
  let ended: (seen: Seen) => void = () => undefined
  child.on('message', (answer: BystanderAnswer) => {
    if (answer.number === undefined) ended(answer.seen)
    else {
      waiting.get(answer.number)?.(answer.outcome)
      waiting.delete(answer.number)
    }
  })
  const lost = (reject: (error: Error) => void): void => {
    child.once('exit', () => reject(new Error('The bystander has ended.')))
  }
  const tell = (order: BystanderOrder): void => void child.send(order)
  let pulls = 0
  return {
    begin: pulled => tell({ do: 'begin', pulled }),
    end: () =>
      new Promise((resolve, reject) => {
        ended = resolve
        lost(reject)
        tell({ do: 'end' })
      }),
    pull: pull =>
      new Promise((resolve, reject) => {
        const number = ++pulls
        waiting.set(number, resolve)
        lost(reject)
        tell({ do: 'pull', number, pull })
      }),
    close,
  }
}
