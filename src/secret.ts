import { inspect } from 'node:util'

const HIDDEN = '[secret]'

/**
 * A text that nobody sees who merely prints, logs, serialises or copies what holds it. `reveal` is called where the text
 * is put to its use, and nowhere earlier.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return HIDDEN
  }

  toJSON(): string {
    return HIDDEN
  }

  [Symbol.toPrimitive](): string {
    return HIDDEN
  }

  [inspect.custom](): string {
    return HIDDEN
  }
}
