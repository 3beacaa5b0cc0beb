import { networkOf } from '../access/network-of.js'
import type { Exchange } from './exchange.js'
import { ownerOf } from './upload-session.js'

/** What requests are counted by: the user, or the network of the address for clients that have not logged in. */
export function clientKey({ principal, address = '' }: Exchange): string {
  return principal && principal.kind !== 'anonymous' ? ownerOf(principal) : `address:${networkOf(address)}`
}
