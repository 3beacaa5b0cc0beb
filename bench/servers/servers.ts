import { distribution } from './distribution.js'
import { mirror } from './mirror.js'
import { nginxApr1, nginxBcrypt } from './nginx.js'
import type { ServerKind, ServerName } from './server.js'
import { straight } from './straight.js'

export const SERVERS: Readonly<Record<ServerName, ServerKind>> = {
  mirror,
  distribution,
  'nginx apr1': nginxApr1,
  'nginx bcrypt': nginxBcrypt,
  straight,
}
