import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { TOKEN } from '../upstream/order.js'
import { ECR_HOST } from '../upstream/upstream.js'
import { apr1Line, basic, bcryptLine, LOGIN } from './login.js'
import { startProcess } from './process.js'
import type { Login, ServerKind, ServerName, ServerOptions, TlsFiles } from './server.js'

/** nginx as the ECR proxy that is usually made of it; its passwords are hashed as `htpasswd` does when told nothing. */
export const nginxApr1 = nginx('nginx apr1', login => apr1Line(login))
/** The same with hashes that can be shown to people, as `htpasswd -B` makes them. */
export const nginxBcrypt = nginx('nginx bcrypt', login => bcryptLine(login))

function nginx(name: ServerName, usersLine: (login: Login) => string | Promise<string>): ServerKind {
  return {
    name,
    needs: { command: 'nginx', package: 'nginx-light' },
    async start(options) {
      const { directory, tls } = options
      const [configuration, users] = [join(directory, 'nginx.conf'), join(directory, 'users')]
      const port = await freePort()
      await mkdir(join(directory, 'cache'))
      await writeFile(users, await usersLine(LOGIN))
      await writeFile(configuration, configurationOf(options, port, users))
      const { pid, stop } = await startProcess(
        ['nginx', '-c', configuration, '-p', directory, '-g', 'daemon off;'],
        directory,
        () => accepts(port),
      )
      const address = { hostname: '127.0.0.1', port, ca: tls?.pem }
      return { name, pid, stop, address, authorization: basic(LOGIN), login: LOGIN }
    },
  }
}

/** Blobs are cached by the place they are asked for at, whether they come from the registry or from where it redirects. */
function configurationOf({ upstream, directory, tls }: ServerOptions, port: number, users: string): string {
  return `
worker_processes auto;
user ${userInfo().username};
pid ${directory}/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log ${directory}/access.log;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 65;
  keepalive_requests 1000000;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(each => `${each}_temp_path ${directory}/temp;`).join(' ')}
  proxy_cache_path ${directory}/cache levels=1:2 keys_zone=cache:64m inactive=1d max_size=100g use_temp_path=off;
  upstream registry { server ${new URL(upstream.url).host}; keepalive 64; }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
    ${tls ? tlsLines(tls) : ''}
    auth_basic "benchmark";
    auth_basic_user_file ${users};
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_set_header Connection "";
    proxy_set_header Host ${ECR_HOST};
    proxy_set_header Authorization "Basic ${TOKEN}";
    proxy_cache_valid 200 1d;
    proxy_cache_lock on;
    add_header X-Cache $upstream_cache_status;
    location /v2/ {
      proxy_pass http://registry;
    }
    location ~ ^/v2/.+/manifests/ {
      proxy_pass http://registry;
      proxy_cache cache;
      proxy_cache_key $uri$http_accept;
    }
    location ~ ^/v2/.+/blobs/sha256:[0-9a-f]+$ {
      proxy_pass http://registry;
      proxy_cache cache;
      proxy_cache_key $uri;
      proxy_intercept_errors on;
      error_page 301 302 307 = @redirected;
    }
    location @redirected {
      set $place $upstream_http_location;
      proxy_pass $place;
      proxy_set_header Host $proxy_host;
      proxy_set_header Authorization "";
      proxy_cache cache;
      proxy_cache_key $uri;
    }
  }
}
`
}

function tlsLines({ certificate, key }: TlsFiles): string {
  return `ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_protocols TLSv1.2 TLSv1.3;`
}

/** nginx cannot tell which port it was given. */
async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const accepted = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return accepted
}
