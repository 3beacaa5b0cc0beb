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
  if (text === '*') return name => !name.includes('/')
  if (text === '**') return () => true
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

/** `**` as a whole segment with others behind it, `**` elsewhere, or one character. */
const PIECES = /(?<![^/])\*\*\/|\*\*|./gsu

function parseSteps(text: string): readonly Step[] {
  return [...text.matchAll(PIECES)].flatMap(([piece]): Step[] => {
    if (piece === '**/') return ['maybe', 'across', { character: '/' }]
    if (piece === '**') return ['across']
    return [piece === '*' ? 'within' : { character: piece }]
  })
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
