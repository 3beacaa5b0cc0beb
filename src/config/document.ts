import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml'
import { ConfigError } from './config-error.js'
import type { Layer, Path } from './layer.js'

/**
 * Reads YAML 1.2, of which JSON is a part, and remembers where everything stands.
 * Throws a ConfigError that names `name`, line and column when it is no YAML; the text itself is never shown.
 */
export function parseLayer(text: string, name: string, directory: string): Layer {
  const lines = new LineCounter()
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${name}:${line}:${col}`
  }
  const problems = [...document.errors, ...document.warnings]
  if (problems.length > 0) {
    throw new ConfigError(
      problems.map(({ pos, message }) => `${at(pos[0])} is not valid YAML: ${plain(message)}`),
    )
  }
  return {
    data: dataOf(document, name),
    directory,
    locate: (path, key) => {
      const offset = offsetOf(document, path, key)
      return offset === undefined ? name : at(offset)
    },
    writtenAt: path => {
      const node = document.getIn(path, true)
      return isScalar(node) ? node.source : undefined
    },
  }
}

/** Some messages of the parser end with a piece of the text, in quotes or behind a colon, which may be a secret. */
function plain(message: string): string {
  return message.replace(/(?: *["'`]|:).*$/s, '').replace(/\.?$/, '')
}

function dataOf(document: Document.Parsed, name: string): unknown {
  try {
    return document.toJS() ?? {}
  } catch {
    throw new ConfigError([`${name}: too many aliases, or one that has no anchor`])
  }
}

/** The place of the value at `path`, or of what comes nearest around it. */
function offsetOf(document: Document.Parsed, path: Path, key: string | undefined): number | undefined {
  if (key !== undefined) {
    const around = path.length === 0 ? document.contents : document.getIn(path, true)
    const pair = isMap(around) ? around.items.find(item => keyOf(item.key) === key) : undefined
    if (isPair(pair) && isScalar(pair.key) && pair.key.range) return pair.key.range[0]
  }
  for (let steps = path.length; steps > 0; steps--) {
    const node = document.getIn(path.slice(0, steps), true)
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.range) return node.range[0]
  }
  return undefined
}

function keyOf(key: unknown): string | undefined {
  return isScalar(key) ? String(key.value) : undefined
}
