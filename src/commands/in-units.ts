const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const

/** A number of bytes as people read it, such as `12.3 MiB` (IEC 80000-13). */
export function inUnits(bytes: number): string {
  let [value, unit] = [bytes, 'B']
  for (const next of UNITS) {
    if (value < 1024) break
    ;[value, unit] = [value / 1024, next]
  }
  return unit === 'B' ? `${bytes} B` : `${value.toFixed(1)} ${unit}`
}
