import { monotonic } from './thread-clock.js'

const BEGINS = /^( *)# Subtest: (.+)$/

/** Which test a process was in, told by its TAP as it came. */
export class Subtests {
  readonly #begun: { readonly at: number; readonly title: string }[] = []
  #rest = ''

  /** Takes more of the TAP in, which has come at this time, in microseconds of CLOCK_MONOTONIC. */
  read(text: string, at = monotonic()): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      const [, , title] = BEGINS.exec(line) ?? []
      if (title !== undefined) this.#begun.push({ at, title })
    }
  }

  /** The test that was begun last before that time; undefined before the first one. */
  at(time: number): string | undefined {
    return this.#begun.findLast(({ at }) => at <= time)?.title
  }
}
