const [SLOTS, SLOT_BYTES] = [8, 256]
const BYTES = 64

/** What the watched thread tells of itself while it runs, in memory that can be read while it does not. */
export class LoopState {
  readonly memory: SharedArrayBuffer
  readonly #numbers: BigInt64Array
  readonly #flags: Int32Array
  readonly #texts: Buffer

  constructor(memory = new SharedArrayBuffer(BYTES + SLOTS * SLOT_BYTES)) {
    this.memory = memory
    this.#numbers = new BigInt64Array(memory, 0, 3)
    this.#flags = new Int32Array(memory, 24, 2)
    this.#texts = Buffer.from(memory, BYTES)
  }

  /** When the loop turned last, in microseconds. */
  get turned(): number {
    return Number(Atomics.load(this.#numbers, 0))
  }

  /** How long the thread had waited for a CPU by then, in microseconds since it was started. */
  get waited(): number {
    return Number(Atomics.load(this.#numbers, 1))
  }

  /** The largest delay of the loop so far, in nanoseconds. */
  get loopDelay(): number {
    return Number(Atomics.load(this.#numbers, 2))
  }

  /** Whether the report has been made, for which it waits so many milliseconds at most; the thread does nothing else. */
  awaitReport(ms: number): boolean {
    return Atomics.wait(this.#flags, 1, 0, ms) === 'not-equal'
  }

  turn(at: number, waited: number, loopDelay: number): void {
    Atomics.store(this.#numbers, 1, BigInt(waited))
    Atomics.store(this.#numbers, 2, BigInt(loopDelay))
    Atomics.store(this.#numbers, 0, BigInt(at))
  }

  /** Notes that a request was begun. */
  begin(request: string): void {
    const at = (Atomics.add(this.#flags, 0, 1) % SLOTS) * SLOT_BYTES
    this.#texts.fill(0, at, at + SLOT_BYTES)
    this.#texts.write(request, at, SLOT_BYTES, 'latin1')
  }

  /** The requests that were begun last, the last one last. */
  requests(): string[] {
    const next = Atomics.load(this.#flags, 0)
    return Array.from({ length: SLOTS }, (_, index) => {
      const at = ((next + index) % SLOTS) * SLOT_BYTES
      return this.#texts.toString('latin1', at, at + SLOT_BYTES).replaceAll('\0', '')
    }).filter(text => text !== '')
  }

  reported(): void {
    Atomics.store(this.#flags, 1, 1)
  }
}
