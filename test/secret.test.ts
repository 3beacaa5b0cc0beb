import { execFile } from 'node:child_process'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { format, inspect } from 'node:util'
import t from 'tap'
import { createLog } from '../src/operations/log.js'
import { Secret } from '../src/secret.js'

const TEXT = 'canary-that-is-not-to-be-seen'
const secret = new Secret(TEXT)

/** Every way to print something that holds a secret which is not meant to show it. */
const PRINTED: Readonly<Record<string, () => unknown>> = {
  'util.inspect, all of it': () => inspect({ secret }, { showHidden: true, depth: 9, getters: true }),
  'util.inspect without its own way': () => inspect(secret, { customInspect: false, showHidden: true }),
  JSON: () => JSON.stringify({ secret, list: [secret] }),
  // What a slip does is what is tried here.
  // eslint-disable-next-line @typescript-eslint/restrict-template-expressions
  'a template': () => `${secret}`,
  String: () => String(secret),
  // eslint-disable-next-line @typescript-eslint/restrict-plus-operands
  addition: () => 'of ' + secret,
  'console.log': () => format('%s %o %O %j %d', secret, secret, secret, secret, secret),
  'the message of an error': () => new Error(String(secret)).stack,
  'an error that holds it': () => inspect(Object.assign(new Error('x', { cause: secret }), { secret })),
  'its own properties': () => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret)]),
  // eslint-disable-next-line @typescript-eslint/no-misused-spread
  'a copy by spreading': () => inspect({ ...secret }),
  'a structured clone': () => inspect(structuredClone({ secret }), { showHidden: true }),
  'a frozen one': () => inspect(Object.freeze(new Secret(TEXT))),
}

for (const [way, print] of Object.entries(PRINTED)) {
  t.test(`${way} does not show a secret`, async t => t.notMatch(String(print()), TEXT))
}

t.test('it is there for whoever asks for it by name', async t => t.equal(secret.reveal(), TEXT))

t.test('the log does not show it, wherever it is put', async t => {
  let written = ''
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString()
      done()
    },
  })
  const log = createLog({ level: 'trace', format: 'json', destination })
  log.info({ secret, deep: { list: [{ secret }] } }, 'held')
  log.error({ err: Object.assign(new Error('with it', { cause: secret }), { secret }) })
  log.warn({ cause: secret })
  log.child({ secret }).info('child')
  log.info('%s and %j', secret, secret)
  t.equal(written.split('\n').length, 6)
  t.notMatch(written, TEXT)
  t.match(written, /\[secret\]/)
})

t.test('a crash does not show it', async t => {
  const module = JSON.stringify(fileURLToPath(new URL('../dist/secret.js', import.meta.url)))
  // In two halves, so that the line of source that a crash prints does not have it.
  const [first, second] = [TEXT.slice(0, 9), TEXT.slice(9)].map(half => JSON.stringify(half))
  const script = (thrown: string) =>
    `import { Secret } from ${module}; const secret = new Secret([${first}, ${second}].join('')); throw ${thrown}`
  const crash = (thrown: string): Promise<string> =>
    new Promise(resolve => {
      execFile(process.execPath, ['--input-type=module', '-e', script(thrown)], (_error, _out, said) =>
        resolve(said),
      )
    })
  for (const thrown of ['secret', 'Object.assign(new Error(`of ${secret}`), { secret, list: [secret] })']) {
    const said = await crash(thrown)
    t.match(said, /Node\.js v\d/, `${thrown} is a crash`)
    t.notMatch(said, TEXT, thrown)
  }
  t.match(await crash('new Error(secret.reveal())'), TEXT, 'and would be seen if it did')
})
