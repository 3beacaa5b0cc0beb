import t from 'tap'
import { bareLine, commandsIn } from './support/documented.js'

t.test('blocks, examples and commands in passing are found, each under its heading', async t => {
  const { commands, unknown } = commandsIn(`# One
Do \`npm link\`, not \`npm\`, then \`A=1 npm run x\`:

\`\`\`sh
one   # a remark
two | three
\`\`\`

## Two

\`\`\`
$ ecr-mirror check
✓ all
\`\`\`

\`\`\`yaml
users: {}
\`\`\`
`)
  t.same(unknown, [])
  t.same(commands, [
    { text: 'npm link', kind: 'passing', shown: '', section: 'One', line: 2 },
    { text: 'A=1 npm run x', kind: 'passing', shown: '', section: 'One', line: 2 },
    { text: 'one   # a remark\ntwo | three\n', kind: 'block', shown: '', section: 'One', line: 5 },
    { text: 'ecr-mirror check', kind: 'example', shown: '✓ all\n', section: 'Two', line: 12 },
  ])
})

t.test('a block in a language that nobody knows is told', async t => {
  t.same(commandsIn('```zsh\nls\n```\n').unknown, ['zsh, line 2'])
})

t.test('a remark is no part of a line', async t => {
  t.equal(bareLine('npm test        # all tests'), 'npm test')
  t.equal(bareLine('# nothing else'), '')
  t.equal(bareLine("printf '%s#1' x"), "printf '%s#1' x")
})
