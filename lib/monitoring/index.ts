export {
  createMonitoring, MonitoringService, type Monitoring, type MonitoringDeps, type MonitoringEvents
} from './monitoring.js'
export { Alerts, type SavedAlert } from './alerts/alerts.js'
export { evaluateRules, type AlertCondition, type AlertFacts } from './alerts/alert-rules.js'
export {
  DURATION_BOUNDS_MS, labelValue, type OperationCounts, type OperationTotals
} from './operations/operations.js'
export type { OperationSeries } from './operations/operation-series.js'
export { operationLatencyOf } from './operations/operation-latency.js'
export type { HealthCheck, HealthProvider } from './health/sources.js'
export type { CheckReport } from './health/report.js'
export type { ReportedHealth } from './health/health.js'
export { worstOf, type HealthEvent } from './health/severity.js'
export type { LatencyCounts } from './operations/latency-buckets.js'
export { latencyOf } from './operations/latency-window.js'
