import t from 'tap'
import { WritePause } from '../../src/store/write-pause.js'

t.test('a pause ends after its length, and is said to be over once', t => {
  let now = 1000
  const pause = new WritePause(30, () => now)
  t.equal(pause.reason, undefined)
  t.equal(pause.end(), false, 'there was none')
  t.equal(pause.begin('EIO'), true)
  now += 29
  t.equal(pause.begin('ENOSPC'), false, 'one goes on')
  t.equal(pause.reason, 'EIO')
  t.equal(pause.end(), false, 'what was begun before may still succeed')
  now += 1
  t.equal(pause.reason, undefined)
  t.equal(pause.begin('ENOSPC'), true, 'it failed again')
  now += 30
  t.equal(pause.end(), true)
  t.equal(pause.end(), false)
  t.end()
})

t.test('a clock that is set back ends it', t => {
  let now = 1_000_000
  const pause = new WritePause(30, () => now)
  pause.begin('EIO')
  now = 5
  t.equal(pause.reason, undefined)
  t.end()
})
