import type { AuditLog } from '../audit-log.js'
import type { Metrics } from '../metrics.js'
import { counter, gauge } from './read.js'

/** Whether the audit log can be written, and what it lacks. */
export function auditMetrics(metrics: Metrics, state: () => AuditLog['state']): void {
  gauge(metrics, {
    name: 'audit_failing',
    help: 'Whether the audit log cannot be written now.',
    read: () => Number(state().trouble !== undefined),
  })
  counter(metrics, {
    name: 'audit_lines_lost_total',
    help: 'Lines of the audit log that could not be written.',
    read: () => state().lost,
  })
}
