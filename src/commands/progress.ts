import progress from 'cli-progress'
import { inUnits } from './in-units.js'

/** Tells how far several transfers are: a bar for each on a terminal, a line for each that has ended elsewhere. */
export interface Progress {
  /** Begins a transfer of so many bytes. */
  begin(label: string, size: number): Transfer
  /** Leaves what was shown as it is. */
  end(): void
}

export interface Transfer {
  /** So many more bytes have arrived. */
  advance(bytes: number): void
  /** Over, with a word on how. */
  over(how: string): void
}

export function createProgress(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? bars(stream) : lines(stream)
}

function bars(stream: NodeJS.WriteStream): Progress {
  const all = new progress.MultiBar(
    {
      stream,
      format: '  {label}  {bar} {percentage} %  {total}  {how}',
      formatValue: (value, options, type) =>
        type === 'total' ? inUnits(value) : progress.Format.ValueFormat(value, options, type),
      barsize: 24,
      hideCursor: true,
      clearOnComplete: false,
      forceRedraw: true,
    },
    { barCompleteChar: '█', barIncompleteChar: '░', format: '' },
  )
  return {
    begin(label, size) {
      const bar = all.create(size, 0, { label, how: '' })
      return {
        advance: bytes => bar.increment(bytes, { label, how: '' }),
        over(how) {
          bar.update(bar.getTotal(), { label, how })
          bar.stop()
        },
      }
    },
    end: () => all.stop(),
  }
}

function lines(stream: NodeJS.WriteStream): Progress {
  return {
    begin: (label, size) => ({
      advance: () => undefined,
      over: how => void stream.write(`  ${label}  ${inUnits(size).padStart(10)}  ${how}\n`),
    }),
    end: () => undefined,
  }
}
