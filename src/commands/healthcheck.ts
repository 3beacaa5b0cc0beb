import { isIPv6 } from 'node:net'
import type { Flags } from '../config/flags.js'
import { loadOperationsAddress } from '../config/load.js'
import type { ListenAddress } from '../config/fields.js'
import { CommandError, EXIT, type Surroundings } from './surroundings.js'

const TIME_LIMIT_MS = 3000

/** Asks the mirror of this configuration whether it is live. Throws a CommandError when it is not. */
export async function healthcheck(flags: Flags, { env }: Surroundings): Promise<void> {
  const url = `http://${authority(await loadOperationsAddress({ env, flags }))}/livez`
  const signal = AbortSignal.timeout(TIME_LIMIT_MS)
  const status = await fetch(url, { signal, redirect: 'manual' }).then(
    async response => {
      await response.body?.cancel()
      return response.status
    },
    () => undefined,
  )
  if (status === undefined)
    throw new CommandError(`no answer from ${url} within ${TIME_LIMIT_MS / 1000} s`, EXIT.failed)
  if (status !== 200) throw new CommandError(`${url} answered ${status}`, EXIT.failed)
}

/** What listens on every address is asked on the loopback. */
function authority({ host, port }: ListenAddress): string {
  if (host === '0.0.0.0') return `127.0.0.1:${port}`
  if (host === '::') return `[::1]:${port}`
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}
