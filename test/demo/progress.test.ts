import { Writable } from 'node:stream'
import t from 'tap'
import { createProgress } from './progress.js'

/** An output that keeps what is written; on a terminal, with the cursor's moves in between. */
function startOutput(isTTY: boolean) {
  let written = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString('utf8')
      done()
    },
  })
  const moveCursor = (_dx: number, dy: number): boolean => stream.write(`<${dy}>`)
  const output = Object.assign(stream, { isTTY, moveCursor })
  return { output, written: () => written }
}

t.test('on a terminal there is a bar for each transfer, drawn over the one before', async t => {
  const { output, written } = startOutput(true)
  const progress = createProgress(output)
  const one = progress.begin('one', 100)
  progress.begin('two', 2 * 1024 * 1024)
  one.advance(100)
  one.complete()
  const [last = ''] = written().split('<-2>').slice(-1)
  t.match(last, /one {2}█{24} 100 % +100 B ✓\n.*two {2}░{24} +0 % +2\.0 MiB\n$/)
})

t.test('elsewhere there is a line for each transfer that is complete, and no control code', async t => {
  const { output, written } = startOutput(false)
  const progress = createProgress(output)
  const one = progress.begin('one', 100)
  progress.begin('two', 200)
  one.advance(50)
  t.equal(written(), '')
  one.advance(50)
  one.complete()
  t.equal(written(), '  one      100 B ✓\n')
})
