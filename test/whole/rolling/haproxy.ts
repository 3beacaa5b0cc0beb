import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { startDaemon } from '../../clients/support/daemon.js'
import { scratch } from '../../clients/support/scratch.js'

const GUIDE = fileURLToPath(new URL('../../../docs/load-balancing.md', import.meta.url))

export type BalancingMode = 'http' | 'tcp'

/**
 * HAProxy in front of two mirrors, at their ports 5000 and 5001, with the configuration that the guide has for a mode: word
 * for word, but for the addresses and TLS. Gives the URL that clients know.
 */
export async function startHaproxy(
  t: Test,
  mode: BalancingMode,
  { address, mirrors: [one, two] }: { readonly address: string; readonly mirrors: readonly [string, string] },
): Promise<string> {
  const guide = await readFile(GUIDE, 'utf8')
  const text = [...guide.matchAll(/^```haproxy\n([\s\S]*?)^```$/gm)]
    .map(([, block = '']) => block)
    .find(block => block.includes(`mode ${mode}\n`))
  if (text === undefined) throw new Error(`The guide has no configuration of HAProxy in mode ${mode}.`)
  const file = join(await scratch(t), 'haproxy.cfg')
  await writeFile(
    file,
    text
      .replace(/^ {2}bind .*$/m, `  bind ${address}:5000`)
      .replace('10.0.0.11', one)
      .replace('10.0.0.12', two),
  )
  const url = `http://${address}:5000`
  await startDaemon(t, ['haproxy', '-db', '-f', file], {
    ready: () =>
      fetch(`${url}/v2/`).then(
        ({ status }) => status === 401,
        () => false,
      ),
  })
  return url
}
