import { spawn } from 'node:child_process'
import { Agent, type OutgoingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { ask, type PlainAnswer } from '../../test/support/requests.js'
import { ATTACKER_ADDRESS } from './addresses.js'
import { startBystander, type Bystander } from './bystander.js'
import type { OnePull, Pulled } from './bystander-order.js'
import { startFarSide, type FarSide } from './far-side.js'
import {
  commandEnvironment,
  MAIN,
  startMirror,
  USERS,
  type Mirror,
  type MirrorSettings,
  type UserName,
} from './mirror.js'

export interface Request {
  /** Left out: nobody logs in. */
  readonly as?: UserName
  readonly headers?: OutgoingHttpHeaders
  readonly body?: Buffer
}

export interface StageOptions {
  readonly directory: string
  /** The path of the compiled watch. */
  readonly watch: string
  readonly quick: boolean
  readonly settings: MirrorSettings | undefined
}

const IMAGE = { repository: 'bystander/app', tag: '1.0', layer: 64 * 1024 }

/** A mirror, what is behind it, a bystander, and what an attacker has to work with: all for one attack. */
export class Stage {
  readonly farSide: FarSide
  readonly mirror: Mirror
  readonly bystander: Bystander
  readonly directory: string
  readonly #sockets = new Set<Socket>()
  readonly #agent = new Agent({ keepAlive: true, localAddress: ATTACKER_ADDRESS })
  readonly #quick: boolean

  private constructor(
    farSide: FarSide,
    mirror: Mirror,
    bystander: Bystander,
    { directory, quick }: StageOptions,
  ) {
    this.farSide = farSide
    this.mirror = mirror
    this.bystander = bystander
    this.directory = directory
    this.#quick = quick
  }

  static async start(options: StageOptions): Promise<Stage> {
    const farSide = await startFarSide()
    try {
      const mirror = await startMirror(farSide, options.directory, options.watch, options.settings)
      try {
        return new Stage(farSide, mirror, await startBystander(), options)
      } catch (error) {
        await mirror.stop()
        throw error
      }
    } catch (error) {
      await farSide.close()
      throw error
    }
  }

  /** Whether the mirror ended by itself. */
  async close(): Promise<boolean> {
    for (const socket of this.#sockets) socket.destroy()
    this.#agent.destroy()
    await this.bystander.close()
    const ended = await this.mirror.stop()
    await this.farSide.close()
    return ended
  }

  /** A number as it is measured with, or in little, where it only matters that everything works. */
  sized({ full, quick }: { readonly full: number; readonly quick: number }): number {
    return this.#quick ? quick : full
  }

  /** The digest of a blob of so many bytes that is new at ECR, in an image: what is in none cannot be pulled there. */
  async newBlob(repository: string, tag: string, size: number): Promise<string> {
    const { layers } = await this.farSide.tell('image', { repository, tag, layer: size })
    return layers[0]?.digest ?? ''
  }

  /** What the bystander pulls, which is cached from now on. */
  async image(): Promise<Pulled> {
    const { repository, tag, layer } = IMAGE
    const blob = await this.newBlob(repository, tag, layer)
    const pulled: Pulled = {
      url: this.mirror.url,
      authorization: authorizationOf('bystander'),
      repository,
      tag,
      blob,
    }
    for (const path of [`manifests/${tag}`, `blobs/${pulled.blob}`]) {
      const { status } = await ask(`${pulled.url}/v2/${repository}/${path}`, {
        headers: { authorization: pulled.authorization },
      })
      if (status !== 200) throw new Error(`The bystander was answered ${status} before the attack.`)
    }
    return pulled
  }

  /** A request from the attacker's address; undefined when it broke off. */
  ask(
    method: string,
    path: string,
    { as, headers, body }: Request = {},
    signal?: AbortSignal,
  ): Promise<PlainAnswer | undefined> {
    return ask(path.startsWith('http') ? path : this.mirror.url + path, {
      method,
      agent: this.#agent,
      headers: {
        ...(as && { authorization: authorizationOf(as) }),
        ...(body && { 'content-length': body.length }),
        ...headers,
      },
      ...(body && { body }),
      ...(signal && { signal }),
    }).catch(() => undefined)
  }

  /** A connection from the attacker's address on which a request's head has been sent, and nothing is read. */
  open(method: string, path: string, { as, headers = {} }: Omit<Request, 'body'> = {}): Socket {
    const { hostname, port } = new URL(this.mirror.url)
    const socket = connect({ port: Number(port), host: hostname, localAddress: ATTACKER_ADDRESS })
    socket.on('error', () => undefined)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const fields = { host: 'mirror', ...(as && { authorization: authorizationOf(as) }), ...headers }
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${String(value)}\r\n`)
    socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
    return socket
  }

  /** One pull by who owns it, timed in the bystander's process. */
  ownersPull(path: string): ReturnType<Bystander['pull']> {
    const pull: OnePull = { url: this.mirror.url, authorization: authorizationOf('owner'), path }
    return this.bystander.pull(pull)
  }

  /** Runs a command of the mirror's beside it, which is killed when the signal aborts; whether it succeeded. */
  async command(args: readonly string[], signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    const child = spawn(process.execPath, [MAIN, ...args, '--config', this.mirror.configFile], {
      env: commandEnvironment(),
      stdio: 'ignore',
      signal,
      killSignal: 'SIGKILL',
    })
    // That it was killed shows in how it ended.
    child.on('error', () => undefined)
    return new Promise(resolve => child.once('close', code => resolve(code === 0)))
  }
}

function authorizationOf(name: UserName): string {
  return `Basic ${Buffer.from(`${name}:${USERS[name]}`).toString('base64')}`
}
