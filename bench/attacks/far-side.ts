import type { OrderAnswer, OrderName, Orders, Reach } from './far-side-order.js'
import { startChild } from './child.js'

/** The stand-in for ECR, as an attack sees it. */
export interface FarSide extends Reach {
  /** Rejects when it refuses. */
  tell<Name extends OrderName>(name: Name, of: Orders[Name]['of']): Promise<Orders[Name]['gives']>
  close(): Promise<void>
}

export async function startFarSide(): Promise<FarSide> {
  const { child, started, close } = await startChild<Reach>('far-side-process')
  const waiting = new Map<number, (answer: OrderAnswer) => void>()
  child.on('message', (answer: OrderAnswer) => {
    waiting.get(answer.number)?.(answer)
    waiting.delete(answer.number)
  })
  let orders = 0
  return {
    ...started,
    close,
    tell: async <Name extends OrderName>(name: Name, of: Orders[Name]['of']) => {
      const number = ++orders
      const answer = await new Promise<OrderAnswer>((resolve, reject) => {
        waiting.set(number, resolve)
        child.once('exit', () => reject(new Error('The stand-in for ECR has ended.')))
        child.send({ number, name, of }, error => {
          if (error) reject(error)
        })
      })
      if (answer.error !== undefined) throw new Error(answer.error)
      return answer.gives as Orders[Name]['gives']
    },
  }
}
