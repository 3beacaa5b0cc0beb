import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t from 'tap'
import { compareAside } from '../../src/access/compare-aside.js'

t.test('a comparison that cannot be made is an error, and the next one is made', async t => {
  const damaged = compareAside({ algorithm: 'argon2id', text: '$argon2id$v=19$m=8,t=1,p=1$x$y' }, 'x')
  const whole = compareAside({ algorithm: 'bcrypt', text: await hashBcrypt('x', 4) }, 'x')
  await t.rejects(damaged)
  t.equal(await whole, true)
})
