import { PASSWORD } from '../upstream/order.js'
import { basic } from './login.js'
import type { ServerKind } from './server.js'

/** No mirror at all: every client has an ECR token and a way to S3. */
export const straight: ServerKind = {
  name: 'straight',
  async start({ upstream }) {
    const { hostname, port } = new URL(upstream.url)
    const login = { user: 'AWS', password: PASSWORD }
    return {
      name: 'straight',
      pid: undefined,
      address: { hostname, port: Number(port) },
      authorization: basic(login),
      login,
      stop: async () => undefined,
    }
  },
}
