/**
 * Whether the time of a refusal tells if a name exists: wrong passwords of known and unknown names in turns, compared by
 * Welch's t-test; beyond 4.5 is a difference (the bound of ISO/IEC 17825 for leakage). A check that lets unknown names off
 * shows that a difference would be seen.
 */
import { hash as hashArgon2 } from '@node-rs/argon2'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import { parseArgs } from 'node:util'
import { Logins } from '../src/access/logins.js'
import { createPasswordCheck, type PasswordCheck } from '../src/access/password-check.js'
import { parsePasswordHash, type PasswordHash } from '../src/access/password-hash.js'
import { quantile } from './logins/at-rate.js'

const BOUND = 4.5
const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const samples = values.quick ? 100 : 400

async function hashed(text: Promise<string>): Promise<PasswordHash> {
  const hash = parsePasswordHash(await text)
  if ('refused' in hash) throw new Error(hash.refused)
  return hash
}

const bcrypt = (cost: number): Promise<PasswordHash> => hashed(hashBcrypt('right', cost))
const argon2 = (): Promise<PasswordHash> =>
  hashed(hashArgon2('right', { memoryCost: 1024, timeCost: 1, parallelism: 1 }))

const files: { name: string; known: string; users: Map<string, PasswordHash[]> }[] = [
  { name: 'one kind of hash', known: 'ci', users: new Map([['ci', [await bcrypt(7)]]]) },
  {
    name: 'a cheap hash among dear ones',
    known: 'cheap',
    users: new Map([
      ['cheap', [await bcrypt(5)]],
      ['dear', [await bcrypt(7), await argon2()]],
    ]),
  },
  {
    name: 'a dear hash among cheap ones',
    known: 'dear',
    users: new Map([
      ['cheap', [await bcrypt(5)]],
      ['dear', [await bcrypt(7), await argon2()]],
    ]),
  },
]

interface Times {
  readonly known: number[]
  readonly unknown: number[]
}

/** Alternating, so that what the machine does besides falls on both. */
async function measure(check: () => Pick<PasswordCheck, 'check'>, known: string): Promise<Times> {
  const times: Times = { known: [], unknown: [] }
  const unknown = 'x'.repeat(known.length)
  for (let index = 0; index < samples; index++) {
    const order = index % 2 === 0 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const)
    // A fresh memory each time, so that no name is held.
    const passwords = check()
    for (const which of order) {
      const begin = performance.now()
      await passwords.check(which === 'known' ? known : unknown, `wrong ${index}`, '192.0.2.1')
      times[which].push(performance.now() - begin)
    }
  }
  return times
}

function welch(one: readonly number[], other: readonly number[]): number {
  const [a, b] = [moments(one), moments(other)]
  return (a.mean - b.mean) / Math.sqrt(a.variance / one.length + b.variance / other.length)
}

function moments(values: readonly number[]): { mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    mean,
    variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1),
  }
}

/** Without the slowest tenth of both, which is the machine's doing. */
function trimmed({ known, unknown }: Times): Times {
  const limit = quantile([...known, ...unknown], 0.9)
  return { known: known.filter(time => time <= limit), unknown: unknown.filter(time => time <= limit) }
}

const rows = []
for (const { name, known, users } of files) {
  const memory = new Logins()
  const checks = [
    ['as it is', () => createPasswordCheck(users, new Logins()), false],
    [
      'control: unknown names let off',
      (): Pick<PasswordCheck, 'check'> => {
        const real = createPasswordCheck(users, memory)
        return {
          check: (...login) =>
            real.knows(login[0])
              ? createPasswordCheck(users, new Logins()).check(...login)
              : Promise.resolve('bad'),
        }
      },
      true,
    ],
  ] as const
  for (const [what, check, tells] of checks) {
    const times = trimmed(await measure(check, known))
    const t = welch(times.known, times.unknown)
    rows.push({
      users: name,
      check: what,
      'known ms': Number(quantile(times.known, 0.5).toFixed(3)),
      'unknown ms': Number(quantile(times.unknown, 0.5).toFixed(3)),
      t: Number(t.toFixed(1)),
      'as expected': Math.abs(t) > BOUND === tells,
    })
  }
}
console.table(rows)
if (rows.some(row => !row['as expected'])) process.exitCode = 1
