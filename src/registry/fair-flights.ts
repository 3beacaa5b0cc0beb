import type { FairSlots } from './fair-slots.js'
import { Flights } from './flights.js'

/**
 * Coalesced questions that clients may begin only as fast as their share of the slots allows. To wait for the answer to a
 * question that is being asked takes no slot.
 */
export class FairFlights<T> {
  readonly #flights = new Flights<T>()
  readonly #slots: FairSlots

  constructor(slots: FairSlots) {
    this.#slots = slots
  }

  /**
   * The answer to the question `key`; `client` begins it, unless it is being asked. Throws what `ask` throws, an OciError
   * (503) when the client has no slot in time, or the signal's reason.
   */
  async join(
    key: string,
    client: string,
    signal: AbortSignal,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ readonly result: T; readonly first: boolean }> {
    if (this.#flights.has(key)) return this.#flights.join(key, signal, ask)
    const release = await this.#slots.acquire(client, signal)
    // The slot belongs to the question, which may go on for others after this client has left.
    const question = { isAsking: false }
    const askAndRelease = async (asker: AbortSignal): Promise<T> => {
      question.isAsking = true
      try {
        return await ask(asker)
      } finally {
        release()
      }
    }
    // Somebody else may have begun to ask while this one waited for a slot.
    if (this.#flights.has(key)) release()
    try {
      return await this.#flights.join(key, signal, askAndRelease)
    } finally {
      if (!question.isAsking) release()
    }
  }
}
