/**
 * A pattern of names: `*` stands for anything within a segment, `**` for anything across segments. `**` as a segment
 * with others behind it may also stand for no segment: `team/` + `**` + `/app` matches `team/app`.
 */
export type Pattern = (name: string) => boolean

/** A step of the pattern: one character, or what stands for many. `maybe` may skip the two steps behind it. */
type Step = { readonly character: string } | 'within' | 'across' | 'maybe'

/** Compiles a pattern. Matching takes a time proportional to the name's length, whatever the name. */
export function compilePattern(text: string): Pattern {
  if (!text.includes('*')) return name => name === text
  const steps = parseSteps(text)
  return name => {
    let reached = enter(steps, [0])
    for (const character of name) {
      reached = enter(
        steps,
        [...reached].flatMap(index => advance(steps[index], index, character)),
      )
    }
    return reached.has(steps.length)
  }
}

function parseSteps(text: string): readonly Step[] {
  const steps: Step[] = []
  let rest = text
  while (rest !== '') {
    if (rest.startsWith('**')) {
      const wholeSegment = rest.startsWith('**/') && (rest === text || text.at(-rest.length - 1) === '/')
      if (wholeSegment) steps.push('maybe')
      steps.push('across')
      rest = rest.slice(2)
    } else {
      const character = String.fromCodePoint(rest.codePointAt(0) ?? 0)
      steps.push(character === '*' ? 'within' : { character })
      rest = rest.slice(character.length)
    }
  }
  return steps
}

/** The steps that can be next, with those behind a step that may stand for nothing. */
function enter(steps: readonly Step[], indexes: readonly number[]): Set<number> {
  const entered = new Set(indexes)
  // A set's iteration also visits what is added on the way.
  for (const index of entered) {
    const step = steps[index]
    if (step === 'maybe') entered.add(index + 3)
    if (typeof step === 'string') entered.add(index + 1)
  }
  return entered
}

function advance(step: Step | undefined, index: number, character: string): number[] {
  if (step === 'across' || (step === 'within' && character !== '/')) return [index]
  return typeof step === 'object' && step.character === character ? [index + 1] : []
}
