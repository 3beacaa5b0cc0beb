import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ECR_HOST } from '../upstream/upstream.js'
import { basic, bcryptLine, LOGIN } from './login.js'
import { startProcess } from './process.js'
import type { Server, ServerKind, ServerOptions } from './server.js'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const LISTENING = /"listen":\["https?:\/\/([^:]+):(\d+)"\]/

/** The mirror as it is installed, with its defaults: what is stored is verified, and everybody logs in. */
export const mirror: ServerKind = { name: 'mirror', start: options => startMirror(options) }

/** `cache` is its cache's directory; left out: one of its own, which is empty. */
export async function startMirror(
  { upstream, directory, tls, node }: ServerOptions,
  cache = join(directory, 'cache'),
): Promise<Server> {
  const [config, users] = [join(directory, 'mirror.json'), join(directory, 'users')]
  await writeFile(users, await bcryptLine(LOGIN))
  await writeFile(
    config,
    JSON.stringify({
      listen: '127.0.0.1:0',
      operations: { listen: '127.0.0.1:0' },
      users: { htpasswd: users },
      cache: { directory: cache },
      ...(tls && { tls: { certificate: tls.certificate, key: tls.key } }),
      upstreams: [
        {
          name: 'main',
          host: ECR_HOST,
          endpoint: upstream.url,
          apiEndpoint: upstream.url,
          redirectHosts: [upstream.s3Host],
        },
      ],
    }),
  )
  const { output, ...process_ } = await startProcess(
    [...node, MAIN, 'serve', '--config', config],
    directory,
    output => LISTENING.test(output),
    {
      AWS_ACCESS_KEY_ID: 'AKIDBENCHMARK',
      AWS_SECRET_ACCESS_KEY: 'secret-of-the-benchmark',
      // No balancer is to notice that it ends.
      ECR_MIRROR_LIMITS_DRAINDELAY: '0s',
    },
  )
  const [, hostname = '', port] = LISTENING.exec(await output()) ?? []
  return {
    ...process_,
    name: 'mirror',
    address: { hostname, port: Number(port), ca: tls?.pem },
    authorization: basic(LOGIN),
    login: LOGIN,
  }
}
