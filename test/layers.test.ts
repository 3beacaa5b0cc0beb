import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const SRC = fileURLToPath(new URL('../src/', import.meta.url))

/**
 * The rooms that each room may import from, besides itself. A folder of src is a room; files that lie in src itself
 * belong to `app`, except `main.ts` and `events.ts`, which are rooms of their own.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  oci: [],
  events: ['oci'],
  access: ['oci', 'events'],
  upstream: ['oci', 'events'],
  store: ['oci', 'events'],
  bundle: ['oci', 'events', 'store'],
  config: ['oci', 'access'],
  registry: ['oci', 'access', 'upstream', 'store', 'events'],
  operations: ['oci', 'access', 'upstream', 'store', 'bundle', 'events'],
  status: ['oci', 'access', 'upstream', 'store', 'registry', 'events'],
  app: [
    'oci',
    'events',
    'access',
    'upstream',
    'store',
    'bundle',
    'config',
    'registry',
    'operations',
    'status',
  ],
  check: ['oci', 'events', 'access', 'upstream', 'store', 'config', 'app'],
  // What clients need is told it, and looks nothing up.
  'client-config': [],
  commands: [
    'oci',
    'events',
    'access',
    'upstream',
    'store',
    'bundle',
    'config',
    'client-config',
    'app',
    'check',
  ],
  main: ['config', 'app', 'commands'],
}

/** Single files that may be imported where their room may not. */
const ALSO: readonly (readonly [room: string, file: string])[] = [
  ['config', 'upstream/ecr-host.ts'],
  ['config', 'upstream/ecr-action.ts'],
  // The program's own version, in what it calls itself.
  ['upstream', 'version.ts'],
  ['registry', 'version.ts'],
  // How much there may be of something, which belongs to no room.
  ['store', 'budget.ts'],
  ['registry', 'budget.ts'],
  ['store', 'shares.ts'],
  ['registry', 'shares.ts'],
  // What bodies are read into by one and given back by the other, which belongs to no room.
  ['upstream', 'read-buffers.ts'],
  ['store', 'read-buffers.ts'],
  // How a promise is waited for, which belongs to no room.
  ['upstream', 'until-aborted.ts'],
  ['store', 'until-aborted.ts'],
  ['registry', 'until-aborted.ts'],
  // How long work lets others be answered, which belongs to no room.
  ['store', 'yielder.ts'],
  ['registry', 'yielder.ts'],
  ['bundle', 'yielder.ts'],
  ['status', 'yielder.ts'],
  // What is not to be printed, wherever it is held.
  ['config', 'secret.ts'],
  ['access', 'secret.ts'],
  ['upstream', 'secret.ts'],
  ['registry', 'secret.ts'],
  ['check', 'secret.ts'],
  // What a request turned out to be, for its line in the log.
  ['operations', 'registry/exchange.ts'],
  ['operations', 'registry/once-over.ts'],
  // What an answer turned out to be, as the log tells it.
  ['status', 'operations/answered.ts'],
  ['status', 'version.ts'],
  // The log is there before the app is.
  ['commands', 'operations/log.ts'],
  // How sizes are written for people.
  ['check', 'commands/in-units.ts'],
  ['status', 'commands/in-units.ts'],
  // What is said over the socket in the cache directory.
  ['commands', 'operations/control.ts'],
]

/** Packages that only some may import: rooms, or single files. */
const PACKAGES: readonly (readonly [name: RegExp, allowed: readonly string[]])[] = [
  [/^@prometheus-io\/client$/, ['operations']],
  [/^tar$/, ['bundle']],
  [/^@opentelemetry\//, ['operations/traces.ts']],
  [/^fastify(-plugin)?$/, ['registry', 'operations', 'status', 'app']],
  [/^@fastify\/http-proxy$/, ['registry/forward.ts']],
  [/^@fastify\/(?!http-proxy$)/, ['registry', 'operations', 'app']],
  [/^(node:)?process$/, ['main']],
]

/** The words of the specifications do nothing: no files, no network, no packages. */
const OCI_PACKAGES = ['node:crypto']

interface Source {
  /** Below src, with forward slashes. */
  readonly file: string
  readonly room: string
  readonly imports: readonly string[]
  /** Lines that use the global `process`. */
  readonly processUses: readonly number[]
}

function roomOf(file: string): string {
  const [first = '', ...rest] = file.split('/')
  if (rest.length > 0) return first
  return first === 'main.ts' || first === 'events.ts' ? first.slice(0, -'.ts'.length) : 'app'
}

function read(file: string, text: string): Source {
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const processUses: number[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && node.text === 'process' && isGlobalUse(node)) {
      processUses.push(tree.getLineAndCharacterOfPosition(node.getStart()).line + 1)
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  const imports = ts.preProcessFile(text, true, true).importedFiles.map(each => each.fileName)
  return { file, room: roomOf(file), imports, processUses }
}

/** Not a key, a member of something else, or a name that a type gives. */
function isGlobalUse(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent))
    return parent.expression === node || parent.expression.getText() === 'globalThis'
  return (
    !(ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isMethodSignature(parent)) ||
    parent.name !== node
  )
}

/** The rules that a source breaks, each with the file and what it imports. */
function offences({ file, room, imports, processUses }: Source): string[] {
  const found = imports.flatMap(specifier => {
    if (!specifier.startsWith('.')) {
      const rule = PACKAGES.find(([name]) => name.test(specifier))
      const allowed =
        room === 'oci'
          ? OCI_PACKAGES.includes(specifier)
          : !rule || [room, file].some(each => rule[1].includes(each))
      return allowed ? [] : [`src/${file} imports ${specifier}`]
    }
    const target = join(dirname(file), specifier).split(sep).join('/').replace(/\.js$/, '.ts')
    const targetRoom = roomOf(target)
    const allowed =
      targetRoom === room ||
      MAY_IMPORT[room]?.includes(targetRoom) ||
      ALSO.some(([from, to]) => from === room && to === target)
    return allowed ? [] : [`src/${file} imports src/${target}`]
  })
  const uses = room === 'main' ? [] : processUses.map(line => `src/${file}:${line} uses process`)
  const unknown = room in MAY_IMPORT ? [] : [`src/${file} is in a room that has no rule`]
  return [...unknown, ...found, ...uses]
}

const sources = readdirSync(SRC, { recursive: true, withFileTypes: true })
  .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
  .map(entry => join(entry.parentPath, entry.name))
  .map(path => read(relative(SRC, path).split(sep).join('/'), readFileSync(path, 'utf8')))

t.test('imports run one way between the rooms, and each package stays in its own', t => {
  t.ok(sources.length > 10, 'the sources are found')
  t.same(sources.flatMap(offences), [])
  t.end()
})

t.test('every import that a room must not have is seen', t => {
  const offence = (file: string, text: string): string[] => offences(read(file, text))
  t.same(offence('oci/digest.ts', "import { x } from '../access/policy.js'"), [
    'src/oci/digest.ts imports src/access/policy.ts',
  ])
  t.same(offence('oci/digest.ts', "import fs from 'node:fs'"), ['src/oci/digest.ts imports node:fs'])
  t.same(offence('access/a.ts', "import type { X } from '../upstream/send.js'"), [
    'src/access/a.ts imports src/upstream/send.ts',
  ])
  t.same(offence('store/a.ts', "export * from '../access/policy.js'"), [
    'src/store/a.ts imports src/access/policy.ts',
  ])
  t.same(offence('upstream/a.ts', "const x = await import('../registry/gate.js')"), [
    'src/upstream/a.ts imports src/registry/gate.ts',
  ])
  t.same(offence('upstream/a.ts', "import fastify from 'fastify'"), ['src/upstream/a.ts imports fastify'])
  t.same(offence('registry/gate.ts', "import proxy from '@fastify/http-proxy'"), [
    'src/registry/gate.ts imports @fastify/http-proxy',
  ])
  t.same(offence('config/load.ts', "import { x } from '../upstream/send.js'"), [
    'src/config/load.ts imports src/upstream/send.ts',
  ])
  t.same(offence('registry/gate.ts', "import { x } from '../app.js'"), [
    'src/registry/gate.ts imports src/app.ts',
  ])
  t.same(offence('client-config/docker.ts', "import { x } from '../config/schema.js'"), [
    'src/client-config/docker.ts imports src/config/schema.ts',
  ])
  t.same(offence('app.ts', "import { x } from './main.js'"), ['src/app.ts imports src/main.ts'])
  t.same(offence('app.ts', 'const a = 1\nprocess.exit(a)'), ['src/app.ts:2 uses process'])
  t.same(offence('app.ts', 'globalThis.process.exit(1)'), ['src/app.ts:1 uses process'])
  t.same(offence('app.ts', "import { exit } from 'node:process'"), ['src/app.ts imports node:process'])
  t.same(offence('utils/a.ts', ''), ['src/utils/a.ts is in a room that has no rule'])
  t.end()
})

t.test('what a room may have is no offence', t => {
  const offence = (file: string, text: string): string[] => offences(read(file, text))
  t.same(offence('oci/digest.ts', "import { createHash } from 'node:crypto'"), [])
  t.same(offence('access/a.ts', "import { x } from '../oci/error.js'\nimport { y } from './b.js'"), [])
  t.same(offence('config/load.ts', "import { x } from '../upstream/ecr-host.js'"), [])
  t.same(
    offence(
      'registry/forward.ts',
      "import proxy from '@fastify/http-proxy'\nimport type { F } from 'fastify'",
    ),
    [],
  )
  t.same(offence('main.ts', "import { run } from './commands/run.js'\nprocess.exitCode = 1"), [])
  t.same(offence('app.ts', "const x = { process: 1 }.process // process.exit() and 'process'"), [])
  t.end()
})
