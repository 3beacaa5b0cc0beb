export type TomlValue = string | number | boolean | readonly string[]

export interface TomlTable {
  /** The keys that lead to the table; none for the top of the file. */
  readonly path: readonly string[]
  /** Whether it is one of an array of tables. */
  readonly repeated?: boolean
  readonly entries: Readonly<Record<string, TomlValue>>
}

/** Writes a TOML 1.0 file. Tables come in the order that they have here; what belongs to the top must come first. */
export function toml(tables: readonly TomlTable[], comments: readonly string[] = []): string {
  return [comments.map(line => `# ${line}\n`).join(''), ...tables.map(table)]
    .filter(text => text !== '')
    .join('\n')
}

function table({ path, repeated = false, entries }: TomlTable): string {
  const name = path.map(key).join('.')
  const header = path.length === 0 ? '' : repeated ? `[[${name}]]\n` : `[${name}]\n`
  return (
    header +
    Object.entries(entries)
      .map(([name, entry]) => `${key(name)} = ${value(entry)}\n`)
      .join('')
  )
}

function value(entry: TomlValue): string {
  if (typeof entry === 'string') return basicString(entry)
  return typeof entry === 'object' ? `[${entry.map(basicString).join(', ')}]` : String(entry)
}

function key(text: string): string {
  return /^[A-Za-z0-9_-]+$/.test(text) ? text : basicString(text)
}

/** A JSON string is a basic string of TOML, but for DEL, which TOML wants escaped. */
function basicString(text: string): string {
  return JSON.stringify(text).replaceAll('\x7f', '\\u007f')
}
