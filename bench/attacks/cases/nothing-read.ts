import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ATTACKER_ADDRESS } from '../addresses.js'
import type { Attack } from '../attack.js'

const MiB = 1024 * 1024
/** How long they are held, in seconds, when all have the beginning of an answer. */
const HELD = 6

const CLIENTS = new URL('nothing-read.py', import.meta.url).pathname

/** Connections without a login that ask for much and take none of it. Needs `python3`. */
export const nothingRead: Attack = {
  name: 'S4',
  title: '2,000 connections from one address, without a login, that read nothing',
  seconds: 40,
  prepare: async stage => {
    const digest = await stage.newBlob('public/app', '1.0', 16 * MiB)
    const path = `/v2/public/app/blobs/${digest}`
    // Cached, so that it is the mirror that they use up and not the way to ECR.
    await stage.ask('GET', path, { headers: { connection: 'close' } })
    // Some more than may be open of one address, so that all of those are.
    const wanted = stage.sized({ full: 2_100, quick: 20 })
    return async signal => {
      const { port } = new URL(stage.mirror.url)
      const { stdout } = await promisify(execFile)(
        'python3',
        [CLIENTS, port, path, ATTACKER_ADDRESS, String(wanted), String(HELD)],
        { signal },
      )
      return [{ name: 'connections that were answered', value: Number(stdout), unit: '' }]
    }
  },
}
