import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { basic, bcryptLine, LOGIN } from './login.js'
import { startProcess } from './process.js'
import type { ServerKind } from './server.js'

const LISTENING = /"msg":"listening on (127\.0\.0\.1):(\d+)/

/** CNCF distribution as a pull-through cache. It can log in upstream with Bearer only, so it is let in without. */
export const distribution: ServerKind = {
  name: 'distribution',
  needs: { command: 'docker-registry', package: 'docker-registry' },
  async start({ upstream, directory, tls }) {
    const [settings, htpasswd] = [join(directory, 'registry.json'), join(directory, 'users')]
    await writeFile(htpasswd, await bcryptLine(LOGIN))
    // YAML has JSON in it.
    await writeFile(
      settings,
      JSON.stringify({
        version: '0.1',
        log: { formatter: 'json' },
        storage: { filesystem: { rootdirectory: join(directory, 'data') } },
        http: {
          addr: '127.0.0.1:0',
          ...(tls && { tls: { certificate: tls.certificate, key: tls.key } }),
        },
        auth: { htpasswd: { realm: 'benchmark', path: htpasswd } },
        proxy: { remoteurl: upstream.openUrl },
      }),
    )
    const { output, ...process } = await startProcess(
      ['docker-registry', 'serve', settings],
      directory,
      output => LISTENING.test(output),
    )
    const [, hostname = '', port] = LISTENING.exec(await output()) ?? []
    return {
      ...process,
      name: 'distribution',
      address: { hostname, port: Number(port), ca: tls?.pem },
      authorization: basic(LOGIN),
      login: LOGIN,
    }
  },
}
