export {
  createMonitoring, MonitoringService, type Monitoring, type MonitoringDeps, type MonitoringEvents
} from './monitoring.js'
export type { AdaptiveSignals } from './alerts/adaptive/adaptive-signals.js'
export { AlertService, type AlertServiceDeps, type SharedAlerts, type ViewedAlerts } from './alerts/alert-service.js'
export type { AlertTotals } from './alerts/alert-counts.js'
export { ALERT_RULES, bindRules, evaluateRules } from './alerts/alert-rules.js'
export type { AlertCondition } from './alerts/condition.js'
export type { AlertFacts } from './alerts/facts/alert-facts.js'
export type { SavedAlert } from './alerts/lifecycle/saved-alert.js'
export type { Silence } from './alerts/lifecycle/silences.js'
export type { ScopeAlerts } from './alerts/scope-alerts.js'
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
