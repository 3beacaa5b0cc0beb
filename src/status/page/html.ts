/** Text that is HTML already. */
export class Html {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** What may stand in a template; nothing is written for what is undefined or false. */
export type Content = string | number | Html | undefined | false | readonly Content[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

/**
 * HTML with everything that is put into it escaped, for text and for quoted attributes (HTML, "Serializing HTML
 * fragments"); what cannot be seen, or turns the order of what can, is shown as a replacement character.
 */
export function html(parts: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(parts.reduce((text, part, index) => text + written(contents[index - 1]) + part))
}

function written(content: Content): string {
  if (content === undefined || content === false) return ''
  if (content instanceof Html) return content.toString()
  if (typeof content === 'object') return content.map(written).join('')
  return String(content)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, character => (/\s/.test(character) ? ' ' : '\ufffd'))
    .replace(/[&<>"'`]/g, character => ENTITIES[character] ?? '')
}
