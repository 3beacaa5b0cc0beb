import type { Attack } from '../attack.js'
import { ATTACKER_ADDRESS } from '../addresses.js'
import { atRate } from '../../logins/at-rate.js'
import { Connections } from '../../logins/connections.js'

/** Queries as long as headers may be, before any login. */
export const longQueries: Attack = {
  name: 'S5',
  title: 'queries of 12 KB at 96 a second, without a login',
  seconds: 10,
  prepare: async stage => {
    const connections = new Connections(stage.mirror.url, ATTACKER_ADDRESS)
    const queries = ['a', 'n', 'ns', '%61', 'digest'].map(name => longQuery(name, 12_000))
    return async signal => {
      const statuses: Record<number, number> = {}
      await atRate(
        96,
        60,
        index => {
          const query = queries[index % queries.length] ?? ''
          const path = index % 2 === 0 ? '/v2/' : '/v2/attacker/app/manifests/v1'
          connections.send(`GET ${path}?${query} HTTP/1.1\r\nHost: mirror\r\n\r\n`, status => {
            statuses[status] = (statuses[status] ?? 0) + 1
          })
        },
        signal,
      )
      connections.close()
      return Object.entries(statuses).map(([status, count]) => ({
        name: status === '0' ? 'queries without an answer' : `queries that were answered ${status}`,
        value: count,
        unit: '',
      }))
    }
  },
}

function longQuery(name: string, length: number): string {
  const parts: string[] = []
  for (let size = 0; size < length; size += (parts.at(-1)?.length ?? 0) + 1)
    parts.push(`${name}=${parts.length}`)
  return parts.join('&')
}
