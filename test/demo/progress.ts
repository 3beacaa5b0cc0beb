/** Tells how far several transfers are. */
export interface Progress {
  /** Begins a transfer of so many bytes. */
  begin(label: string, size: number): Transfer
}

export interface Transfer {
  /** So many more bytes have arrived. */
  advance(bytes: number): void
  /** All of it is there and right. */
  complete(): void
}

interface Row {
  readonly label: string
  readonly size: number
  received: number
  complete: boolean
}

/** What is written to; standard output is one. */
export interface Output {
  readonly isTTY?: boolean
  write(text: string): boolean
  moveCursor(dx: number, dy: number): boolean
}

/** Milliseconds between two pictures on a terminal. */
const FRAME = 80
const BAR_WIDTH = 24

/** A bar for each transfer on a terminal, a line for each that is complete elsewhere. */
export function createProgress(output: Output): Progress {
  const rows: Row[] = []
  let drawn = 0
  let drawnAt = 0

  function draw(now: boolean): void {
    if (!now && Date.now() - drawnAt < FRAME) return
    drawnAt = Date.now()
    if (drawn > 0) output.moveCursor(0, -drawn)
    for (const row of rows) output.write(`\u001b[2K${barOf(row)}\n`)
    drawn = rows.length
  }

  return {
    begin(label, size) {
      const row: Row = { label, size, received: 0, complete: false }
      rows.push(row)
      if (output.isTTY) draw(true)
      return {
        advance(bytes) {
          row.received += bytes
          if (output.isTTY) draw(false)
        },
        complete() {
          row.complete = true
          if (output.isTTY) draw(true)
          else output.write(`${lineOf(row)}\n`)
        },
      }
    },
  }
}

function barOf(row: Row): string {
  const share = row.size === 0 ? 1 : row.received / row.size
  const full = Math.round(share * BAR_WIDTH)
  const percent = `${Math.floor(share * 100)}`.padStart(3)
  return `  ${row.label}  ${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)} ${percent} %  ${sizeOf(row)}${tickOf(row)}`
}

function lineOf(row: Row): string {
  return `  ${row.label}  ${sizeOf(row)}${tickOf(row)}`
}

function sizeOf({ size }: Row): string {
  return size < 1024 ? `${size} B`.padStart(9) : `${(size / 1024 / 1024).toFixed(1)} MiB`.padStart(9)
}

function tickOf({ complete }: Row): string {
  return complete ? ' ✓' : ''
}
