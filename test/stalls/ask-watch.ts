import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import type { WatchReport } from './report.js'

/**
 * What a process has seen that was started with REPORT_SOCKET; it can be asked once. Rejects when the process has ended,
 * and when it does not answer within `withinMs`.
 */
export async function askWatch(socket: string, withinMs = 10_000): Promise<WatchReport> {
  const connection = connect(socket)
  connection.setTimeout(withinMs, () => connection.destroy(new Error(`No answer within ${withinMs} ms.`)))
  return JSON.parse(await text(connection)) as WatchReport
}
