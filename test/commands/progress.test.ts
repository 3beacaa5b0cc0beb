import { PassThrough } from 'node:stream'
import t from 'tap'
import { createProgress } from '../../src/commands/progress.js'

function stream(isTTY: boolean): { target: NodeJS.WriteStream; text: () => string } {
  let text = ''
  const target = new PassThrough()
  target.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
  const terminal = {
    isTTY,
    columns: 120,
    cursorTo: () => true,
    moveCursor: () => true,
    clearLine: () => true,
  }
  return { target: Object.assign(target, terminal) as unknown as NodeJS.WriteStream, text: () => text }
}

t.test('on a terminal each transfer has a bar', async t => {
  const { target, text } = stream(true)
  const progress = createProgress(target)
  const [one, two] = [progress.begin('sha256:one', 4 * 1024 * 1024), progress.begin('sha256:two', 100)]
  one.advance(1024 * 1024)
  two.advance(100)
  two.over('fetched')
  one.over('there already')
  progress.end()
  t.match(text(), /sha256:one {2}.*4\.0 MiB/)
  t.match(text(), /sha256:two {2}█+ 100 % {2}100 B {2}fetched/)
  t.match(text(), /there already/)
})

t.test('elsewhere each has a line when it is over', async t => {
  const { target, text } = stream(false)
  const progress = createProgress(target)
  const transfer = progress.begin('sha256:one', 1536)
  transfer.advance(1000)
  t.equal(text(), '')
  transfer.over('fetched')
  progress.end()
  t.equal(text(), '  sha256:one     1.5 KiB  fetched\n')
})
