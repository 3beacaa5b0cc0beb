import fc from 'fast-check'
import t from 'tap'
import { compilePattern } from '../../src/access/pattern.js'

const cases: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
  ['team/app', 'team/app', true],
  ['team/app', 'team/app2', false],
  ['team/app', 'xteam/app', false],
  ['team/*', 'team/app', true],
  ['team/*', 'team/a/b', false],
  ['team/*', 'team', false],
  ['team/*', 'teams/app', false],
  ['team/**', 'team/app', true],
  ['team/**', 'team/a/b/c', true],
  ['team/**', 'team', false],
  ['team/**', 'team-evil/app', false],
  ['**', 'a/b/c', true],
  ['*', 'a', true],
  ['*', 'a/b', false],
  ['**/app', 'app', true],
  ['**/app', 'x/app', true],
  ['**/app', 'x/y/app', true],
  ['**/app', 'xapp', false],
  ['**/app', 'x/yapp', false],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['a/**/b', 'a/xb', false],
  ['a/**/b', 'ab', false],
  ['a**b', 'a/x/b', true],
  ['ci-*', 'ci-7', true],
  ['ci-*', 'ci-', true],
  ['ci-*', 'dev', false],
  ['v*.*', 'v1.2', true],
  ['v*.*', 'v1', false],
  ['a.b', 'axb', false],
  ['a+*', 'aab', false],
  ['', '', true],
  ['', 'a', false],
]

t.test('a pattern matches whole names, with * within a segment and ** across segments', t => {
  for (const [pattern, name, matches] of cases) {
    t.equal(
      compilePattern(pattern)(name),
      matches,
      `${pattern} ${matches ? 'matches' : 'does not match'} ${name}`,
    )
  }
  t.end()
})

/** The same by a regular expression, which is easy to believe and may take for ever on long names. */
function oracle(pattern: string): RegExp {
  const source = pattern.replaceAll(/(?<=^|\/)\*\*\/|\*\*|\*|[^*]/g, piece => {
    if (piece === '**/') return '(?:.*/)?'
    if (piece === '**') return '.*'
    if (piece === '*') return '[^/]*'
    return piece.replace(/[\\^$.|?*+()[\]{}/]/, '\\$&')
  })
  return new RegExp(`^${source}$`)
}

t.test('every pattern says of every name what its regular expression says', t => {
  const pattern = fc
    .array(fc.constantFrom('a', 'b', '/', '*', '**', '**/', '.', '-'))
    .map(pieces => pieces.join(''))
  const name = fc
    .array(fc.constantFrom('a', 'b', '/', '.', '-'), { maxLength: 12 })
    .map(pieces => pieces.join(''))
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        pattern,
        name,
        (pattern, name) => compilePattern(pattern)(name) === oracle(pattern).test(name),
      ),
      { numRuns: 5000 },
    ),
  )
  t.end()
})

t.test('a pattern that would send a regular expression backtracking is matched all the same', t => {
  const hostile = compilePattern(`${'*a'.repeat(40)}**${'*a'.repeat(40)}b`)
  t.equal(hostile('a'.repeat(5000)), false)
  t.equal(hostile(`${'a'.repeat(5000)}b`), true)
  t.end()
})
