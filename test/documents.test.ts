import { access, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { loadConfig } from '../src/config/load.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const documents = [...(await readdir(root)), ...(await filesOf('docs')), ...(await filesOf('deploy'))].filter(
  name => name.endsWith('.md'),
)
const texts = new Map(
  await Promise.all(documents.map(async name => [name, await readFile(join(root, name), 'utf8')] as const)),
)

t.test('what a document links to in the repository exists, headings included', async t => {
  let count = 0
  for (const [name, text] of texts) {
    for (const [, link = ''] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue
      count++
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? name : join(dirname(name), path)
      await t.resolves(access(join(root, target)), `${name}: ${link}`)
      if (anchor !== undefined) t.ok(anchorsOf(target).includes(anchor), `${name}: ${link}`)
    }
  }
  t.ok(count > 50)
})

t.test('every document is linked to from another', async t => {
  for (const name of documents.filter(each => !/^(?:README|docs\/decisions\/)/.test(each))) {
    const others = [...texts].filter(([other]) => other !== name)
    const links = others.flatMap(([other, text]) =>
      [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, path = '']) => join(dirname(other), path)),
    )
    t.ok(
      links.some(link => link === name || link === dirname(name)),
      name,
    )
  }
})

t.test('every whole configuration that a document shows is one', async t => {
  const shown = [...texts].flatMap(([name, text]) =>
    [...text.matchAll(/^ *```yaml\n(.*?)^ *```/gms)].map(([, yaml = '']) => ({ name, yaml })),
  )
  const whole = shown.filter(({ yaml }) => /^users:/m.test(yaml) && /^upstreams:/m.test(yaml))
  t.ok(whole.length >= 5)
  for (const { name, yaml } of whole) {
    const directory = t.testdir({ 'mirror.yaml': yaml })
    const loaded = loadConfig({ env: {}, flags: { config: `${directory}/mirror.yaml` } })
    await t.resolves(loaded, `${name}\n${yaml}`)
  }
})

async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true }).catch(() => [])
  return names.map(name => join(folder, name))
}

/** GitHub's anchors of a document's headings. */
function anchorsOf(name: string): string[] {
  return [...(texts.get(name) ?? '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
}

function withoutCode(text: string): string {
  return text.replace(/^ *```.*?^ *```/gms, '').replace(/`[^`\n]*`/g, '')
}
