/** A line of `/metrics`: a number, its name and labels. */
export interface Told {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** All numbers that a mirror tells now. */
export async function toldBy({ operationsUrl }: { readonly operationsUrl: string }): Promise<Told[]> {
  const answer = await fetch(`${operationsUrl}/metrics`)
  if (answer.status !== 200) throw new Error(`/metrics answers ${answer.status}.`)
  return parseTold(await answer.text())
}

/** The text format of Prometheus, as far as the mirror writes it. Throws for a line that is not of it. */
export function parseTold(text: string): Told[] {
  return text
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => {
      const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      if (name === undefined) throw new Error(`This is no line of metrics: ${line}`)
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
      return {
        name,
        labels: Object.fromEntries(pairs.map(([, key = '', text = '']) => [key, text])),
        value: Number(value),
      }
    })
}

/** The sum of what is told under a name with these labels; undefined where nothing is. */
export function sumOf(
  told: readonly Told[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = told.filter(
    each => each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value),
  )
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0)
}

/** The metrics of a text in the format of Prometheus, by their own names. */
export function familiesOf(text: string): { readonly name: string; readonly type: string }[] {
  return [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => ({ name, type }))
}
