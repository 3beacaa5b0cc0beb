import { appendFileSync, readFileSync, renameSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { AuditFileRefused, createAuditLog, type AppendFile } from '../../src/operations/audit-log.js'

const TIME = Date.UTC(2026, 0, 2)

/** An audit log into a new directory, whose disk takes `room` more bytes, and what it says in the log. */
async function stand(t: Test) {
  const file = `${t.testdir({})}/audit.jsonl`
  const disk = { room: Infinity, opened: 0 }
  const said: string[] = []
  const say = (...words: unknown[]): void => void said.push(String(words.at(-1)))
  const openFile = async (path: string): Promise<AppendFile> => {
    const handle = await open(path, 'a+', 0o600)
    disk.opened++
    return {
      close: () => handle.close(),
      stat: (...given: []) => handle.stat(...given),
      read: (...given: Parameters<AppendFile['read']>) => handle.read(...given),
      write: async (bytes: Buffer) => {
        if (disk.room === 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        const part = bytes.subarray(0, Math.min(bytes.length, disk.room))
        disk.room -= part.length
        return handle.write(part)
      },
    } as unknown as AppendFile
  }
  const audit = createAuditLog({ log: { info: say, error: say }, openFile, now: () => TIME })
  t.teardown(() => audit.close())
  const lines = (path = file): unknown[] =>
    readFileSync(path, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line) as unknown)
  return { audit, file, disk, said, lines }
}

const time = '2026-01-02T00:00:00.000Z'

t.test('lines are appended in order, with the time, to a file for nobody else', async t => {
  const { audit, file, lines } = await stand(t)
  await audit.use(file)
  for (let number = 0; number < 2000; number++) audit.write({ number, left: undefined })
  await audit.settled()
  t.same(
    lines(),
    Array.from({ length: 2000 }, (_, number) => ({ time, number })),
  )
  await audit.use(file)
  audit.write({ number: 2000 })
  await audit.settled()
  t.equal(lines().length, 2001, 'and never instead of those before')
})

t.test('its file is created for its owner alone', async t => {
  const file = `${t.testdir({})}/audit.jsonl`
  const nobody = { info: () => undefined, error: () => undefined }
  const audit = createAuditLog({ log: nobody })
  await audit.use(file)
  t.equal(statSync(file).mode & 0o777, 0o600)
  await audit.close()
})

t.test('a file that was moved away is left, and a new one begun, when it is opened anew', async t => {
  const { audit, file, lines } = await stand(t)
  await audit.use(file)
  audit.write({ at: 'first' })
  await audit.settled()
  renameSync(file, `${file}.1`)
  audit.write({ at: 'still first' })
  await audit.use(file)
  audit.write({ at: 'second' })
  await audit.settled()
  t.match(lines(`${file}.1`), [{ at: 'first' }, { at: 'still first' }])
  t.match(lines(), [{ at: 'second' }])
})

t.test('a full disk costs lines and nothing else, and the file tells how many', async t => {
  const { audit, file, disk, said } = await stand(t)
  await audit.use(file)
  audit.write({ number: 0 })
  await audit.settled()
  disk.room = 10
  for (let number = 1; number < 4; number++) {
    audit.write({ number })
    await audit.settled()
  }
  t.match(audit.state, { trouble: 'ENOSPC', lost: 3 })
  t.same(said, ['the audit log cannot be written; its lines are lost'], 'said once')
  disk.room = Infinity
  audit.write({ number: 4 })
  await audit.settled()
  t.match(audit.state, { trouble: undefined, lost: 3 })
  t.equal(said.length, 2)
  const [first, half = '', ...rest] = readFileSync(file, 'utf8').split('\n')
  t.match(JSON.parse(first ?? ''), { number: 0 })
  t.equal(half.length, 10, 'the half line stands alone')
  t.match(
    rest.slice(0, -1).map(line => JSON.parse(line) as unknown),
    [{ event: 'gap', lost: 3 }, { number: 4 }],
  )
})

t.test('of a batch that the disk took in part, the rest is lost', async t => {
  const { audit, file, disk } = await stand(t)
  await audit.use(file)
  const line = JSON.stringify({ time, number: 1 }).length + 1
  disk.room = line * 2 + 5
  // The first goes alone, and the others wait for it.
  for (let number = 1; number < 6; number++) audit.write({ number })
  await audit.settled()
  t.equal(audit.state.lost, 3)
})

t.test('half a line of a process that was killed is ended', async t => {
  const { audit, file } = await stand(t)
  appendFileSync(file, '{"half":')
  await audit.use(file)
  audit.write({ number: 1 })
  await audit.settled()
  t.equal(readFileSync(file, 'utf8'), `{"half":\n${JSON.stringify({ time, number: 1 })}\n`)
})

t.test('memory is bounded: of more than waits for the disk, the rest is lost', async t => {
  const { audit, file } = await stand(t)
  await audit.use(file)
  for (let number = 0; number < 25_000; number++) audit.write({ number })
  t.equal(audit.state.lost, 15_000)
  await audit.settled()
  const text = readFileSync(file, 'utf8')
  t.equal(text.split('\n').length - 1, 10_000 + (text.includes('"gap"') ? 1 : 0))
})

t.test('what cannot be opened is refused, and the one before stays', async t => {
  const { audit, file, lines } = await stand(t)
  await audit.use(file)
  for (const wrong of [`${file}/x`, t.testdirName, `${t.testdirName}/none/audit`]) {
    await t.rejects(audit.use(wrong), AuditFileRefused, wrong)
    await t.rejects(audit.use(wrong), { message: /^audit\.file: .* cannot be appended to \(E[A-Z]+\); / })
  }
  audit.write({ number: 1 })
  await audit.settled()
  t.match(lines(), [{ number: 1 }])
})

t.test('without a file nothing is kept, and after the end neither', async t => {
  const { audit, file, disk } = await stand(t)
  audit.write({ number: 1 })
  t.same(audit.state, { file: undefined, trouble: undefined, lost: 0 })
  await audit.use(file)
  await audit.use(undefined)
  audit.write({ number: 2 })
  await audit.close()
  audit.write({ number: 3 })
  await audit.settled()
  t.equal(disk.opened, 1)
  t.equal(readFileSync(file, 'utf8'), '')
})
