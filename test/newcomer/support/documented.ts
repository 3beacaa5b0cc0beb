/** A command as a document shows it. */
export interface Documented {
  /** As it stands there, for a block with all its lines. */
  readonly text: string
  /** `block`: a block of commands. `example`: a line after `$ `. `passing`: in the middle of a sentence. */
  readonly kind: 'block' | 'example' | 'passing'
  /** What an example prints. */
  readonly shown: string
  readonly section: string
  readonly line: number
}

export interface Documentation {
  readonly commands: readonly Documented[]
  /** Languages of blocks of which it is not known whether there are commands in them, with their lines. */
  readonly unknown: readonly string[]
}

const SHELL = ['sh', 'bash', 'shell', 'console']
/** What is in these blocks is not for a shell; other tests may read it. */
const NO_SHELL = ['', 'yaml', 'json', 'toml', 'nginx', 'haproxy', 'mermaid', 'hcl', 'promql', 'ini']

const FENCE = /^```(\w*)$/
/** Whole commands that the documents tell to run in passing; `docker login` by itself is a name, as is an option. */
const IN_PASSING = /`((?:[A-Z][A-Z_]*=\S+ )*(?:npm|npx|cp|docker (?:compose|login|run|pull|push)) [^`]+)`/g

/** Finds the commands in a document, in the order in which it has them. */
export function commandsIn(document: string): Documentation {
  const commands: Documented[] = []
  const unknown: string[] = []
  let section = ''
  let block: { language: string; line: number; lines: string[] } | undefined
  for (const [index, text] of document.split('\n').entries()) {
    const [fence, language = ''] = FENCE.exec(text) ?? []
    if (block && fence !== undefined) {
      commands.push(...commandsOf(block, section))
      if (![...SHELL, ...NO_SHELL].includes(block.language))
        unknown.push(`${block.language}, line ${block.line}`)
      block = undefined
    } else if (block) {
      block.lines.push(text)
    } else if (fence !== undefined) {
      block = { language, line: index + 2, lines: [] }
    } else {
      section = /^#+ (.*)$/.exec(text)?.[1] ?? section
      for (const [, command = ''] of text.matchAll(IN_PASSING))
        commands.push({ text: command, kind: 'passing', shown: '', section, line: index + 1 })
    }
  }
  return { commands, unknown }
}

function commandsOf(
  { language, line, lines }: { language: string; line: number; lines: readonly string[] },
  section: string,
): Documented[] {
  if (!lines.some(each => each.startsWith('$ ')))
    return SHELL.includes(language)
      ? [{ text: lines.map(each => `${each}\n`).join(''), kind: 'block', shown: '', section, line }]
      : []
  const examples: { text: string; line: number; shown: string[] }[] = []
  for (const [index, each] of lines.entries()) {
    if (each.startsWith('$ ')) examples.push({ text: each.slice(2), line: line + index, shown: [] })
    else examples.at(-1)?.shown.push(each)
  }
  return examples.map(({ text, line: at, shown }) => ({
    text,
    kind: 'example',
    shown: shown.map(each => `${each}\n`).join(''),
    section,
    line: at,
  }))
}

/** A line of a block without the remark behind it, by which it is known. */
export function bareLine(line: string): string {
  return line.replace(/(?:^|\s+)#\s.*$/, '')
}
