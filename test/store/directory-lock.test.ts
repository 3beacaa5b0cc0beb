import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as files from 'node:fs/promises'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DirectoryInUse, lockDirectory, type DirectoryLock } from '../../src/store/directory-lock.js'
import { openDiskStore } from '../../src/store/disk-store.js'
import { layoutOf, type Layout } from '../../src/store/layout.js'
import { compileStore } from './support/compiled.js'

function layoutIn(directory: string): Layout {
  const layout = layoutOf(directory)
  mkdirSync(layout.ingest, { recursive: true })
  return layout
}

/** A lock of another process that was killed. */
async function staleLock(t: Test, layout: Layout): Promise<void> {
  const script = `require('net').createServer().listen(process.argv[1], () => console.log('on'))`
  const child = spawn(process.execPath, ['-e', script, 'lock.sock'], {
    // A name relative to where it is: a path in full may be too long for a socket.
    cwd: layout.root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'close')
  if (!existsSync(layout.lock)) throw new Error('it left no lock')
}

t.test('a directory has one owner at a time', async t => {
  const layout = layoutIn(t.testdir())
  const lock = await lockDirectory(files, layout)
  t.equal(await lock.intact(), true)
  const error = await lockDirectory(files, layout).catch((error: unknown) => error)
  t.ok(error instanceof DirectoryInUse)
  t.match(error, {
    message: `The cache directory ${layout.directory} is in use`,
    directory: layout.directory,
  })
  t.equal(await lock.intact(), true)
  await lock.release()
  t.notOk(existsSync(layout.lock))
  await (await lockDirectory(files, layout)).release()
  t.same(readdirSync(layout.ingest), [], 'nothing is left of either')
})

t.test('a store refuses a directory that another one owns, and takes it afterwards', async t => {
  const options = { directory: t.testdir(), maxSize: 1 << 20, minFree: { bytes: 0 } }
  const first = await openDiskStore(options)
  await t.rejects(openDiskStore(options), DirectoryInUse)
  await first.close()
  await (await openDiskStore(options)).close()
})

t.test('a dead owner’s lock is replaced, and so is what never was one', async t => {
  const layout = layoutIn(t.testdir())
  await staleLock(t, layout)
  const lock = await lockDirectory(files, layout)
  await t.rejects(lockDirectory(files, layout), DirectoryInUse)
  await lock.release()
  writeFileSync(layout.lock, 'a file')
  await (await lockDirectory(files, layout)).release()
  mkdirSync(join(layout.lock, 'a directory'), { recursive: true })
  await (await lockDirectory(files, layout)).release()
  t.same(readdirSync(layout.ingest), [])
})

t.test('of many that find a dead owner’s lock at once, one gets it', async t => {
  const layout = layoutIn(t.testdir())
  for (let round = 0; round < 20; round++) {
    await staleLock(t, layout)
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(files, layout)))
    const locks: DirectoryLock[] = []
    for (const result of results) {
      if (result.status === 'fulfilled') locks.push(result.value)
      else t.ok(result.reason instanceof DirectoryInUse, String(result.reason))
    }
    const intact = await Promise.all(locks.map(lock => lock.intact()))
    t.equal(intact.filter(Boolean).length, 1)
    for (const lock of locks) await lock.release()
    rmSync(layout.lock, { force: true })
  }
})

t.test('the owner sees that its lock is gone', async t => {
  const layout = layoutIn(t.testdir())
  const lock = await lockDirectory(files, layout)
  rmSync(layout.lock)
  t.equal(await lock.intact(), false)
  const other = await lockDirectory(files, layout)
  t.equal(await lock.intact(), false)
  await lock.release()
  t.equal(await other.intact(), true, 'and leaves another one’s alone')
  await other.release()
})

t.test('a path too long for a socket is no hindrance', async t => {
  const layout = layoutIn(join(t.testdir(), 'd'.repeat(120)))
  await (await lockDirectory(files, layout)).release()
  const lock = await lockDirectory(files, layout)
  t.ok(existsSync(layout.lock))
  await t.rejects(lockDirectory(files, layout), DirectoryInUse)
  await lock.release()
})

t.test('who connects to the owner is served', async t => {
  const layout = layoutIn(t.testdir())
  const lock = await lockDirectory(files, layout, socket => socket.end('hello'))
  const root = await files.open(layout.root)
  const socket = connect(`/proc/self/fd/${root.fd}/lock.sock`)
  const [said] = (await once(socket.setEncoding('utf8'), 'data')) as [string]
  t.equal(said, 'hello')
  socket.destroy()
  await root.close()
  await lock.release()
})

t.test('a lock is held against another process, and ends with a kill', async t => {
  const program = join(compileStore(t.testdir()), 'writer.js')
  const directory = join(t.testdirName, 'cache')
  const child = spawn(process.execPath, [program, directory, '1', '1000000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  const options = { directory, maxSize: 1 << 20, minFree: { bytes: 0 } }
  await t.rejects(openDiskStore(options), DirectoryInUse, 'though it does nothing just now')
  child.kill('SIGKILL')
  child.stdout.resume()
  await once(child, 'close')
  await (await openDiskStore(options)).close()
})
