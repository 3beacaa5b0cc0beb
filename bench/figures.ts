import type { Bar } from './case.js'
import { GiB, MiB } from './content.js'
import type { Figure } from './side-by-side.js'

/** For cases whose work counts bytes. */
export function cpuPerGiB(...bars: Bar[]): Figure<number> {
  return {
    name: 'CPU',
    unit: 's/GiB',
    of: ({ cpuSeconds, done }) => cpuSeconds && cpuSeconds / (done / GiB),
    bars,
  }
}

/** With what the server does after the client has its last byte. */
export function cpuInAllPerGiB(...bars: Bar[]): Figure<number> {
  return {
    name: 'CPU until at rest',
    unit: 's/GiB',
    of: ({ cpuSecondsInAll, done }) => cpuSecondsInAll && cpuSecondsInAll / (done / GiB),
    bars,
  }
}

export function throughput(): Figure<number> {
  return { name: 'throughput', unit: 'MiB/s', of: ({ done, seconds }) => done / MiB / seconds }
}

export function wallTime(...bars: Bar[]): Figure<unknown> {
  return { name: 'time', unit: 's', of: ({ seconds }) => seconds, bars }
}

export function peakMemory(...bars: Bar[]): Figure<unknown> {
  return {
    name: 'peak memory',
    unit: 'MiB',
    of: ({ peakMemory }) => peakMemory && peakMemory / MiB,
    bars,
  }
}
