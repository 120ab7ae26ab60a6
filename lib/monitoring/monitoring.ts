import { MAX_FINGERPRINT, type Anomaly } from '../../schemas/anomaly.js'
import { LATEST_TIME_MS } from '../../schemas/limits.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { OPERATION_BUCKETS_MS } from '../../schemas/options/prometheus.js'
import type { HealthSnapshot, HealthStatus } from '../../schemas/health.js'
import type { LatencySnapshot, Operation, OperationLatency } from '../../schemas/metrics.js'
import type { Clock } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { InvalidSilence } from '../base/errors.js'
import { callGuarded } from '../base/promises.js'
import type { AlertService } from './alerts/alert-service.js'
import { Health, type ReportedHealth } from './health/health.js'
import type { HealthCheck } from './health/sources.js'
import type { HealthTransitionCount } from './health/transitions.js'
import type { LatencyCounts } from './operations/latency-buckets.js'
import { LatencyWindow } from './operations/latency-window.js'
import { readOperation, timeOperation } from './operations/operation.js'
import { MAX_OPERATION_LATENCIES, operationLatencyOf } from './operations/operation-latency.js'
import { TotalLatency } from './operations/total-latency.js'
import { Operations, type OperationCounts, type OperationTotals } from './operations/operations.js'

/** Events of `app.monitoring`: an operation as it was counted, or the health after a change of its overall status. */
export type MonitoringEvents = {
  operation_metric: [operation: Operation]
  health_degraded: [health: HealthSnapshot]
  health_critical: [health: HealthSnapshot]
  system_recovery: [health: HealthSnapshot]
}

export interface MonitoringDeps {
  clock: Clock
  health: ResolvedOptions['health']
  /** Upper bounds of the buckets for durations of operations. */
  operationBucketsMs?: readonly number[]
  /** Receives failures of health checks and of the service at `warn`, and its recovery at `info`, once per change. */
  log: { warn (fields: object, message: string): void, info (fields: object, message: string): void }
  /** Receives errors of the host's listeners; `where` is `monitoring.` and the event, or `log`. */
  onCallbackError: (where: string, err: unknown) => void
}

/**
 * Operations, latency and health as the host holds them, `app.monitoring`. After the service has closed, calls are
 * ignored.
 */
export interface Monitoring {
  /**
   * Counts one operation that has ended. A `durationMs` that is negative or not finite is left out.
   *
   * @throws FST_MC_INVALID_OPERATION if it has the wrong shape
   */
  trackOperation (operation: Operation): void
  /**
   * Calls `fn`, counts its outcome and duration, and returns or throws what `fn` did. If `fn` returns a promise, the
   * operation ends when the promise settles.
   *
   * @throws FST_MC_INVALID_OPERATION before `fn` is called, if a name is not a non-empty string
   */
  time<T> (component: string, operation: string, fn: () => T): T
  /**
   * Adds a health check.
   *
   * @returns a function that removes it
   * @throws FST_MC_INVALID_HEALTH_CHECK if it has the wrong shape, or its name is taken
   */
  addHealthCheck (check: HealthCheck): () => void
  /**
   * Reports the host's own view of its health. It holds at once and until the next report; the overall status is the
   * worst of it and the checks. `health` may name components.
   *
   * @throws FST_MC_INVALID_HEALTH_REPORT if it has the wrong shape
   */
  reportHealth (status: HealthStatus, health?: ReportedHealth): void
  /** The health after the last round of checks or report: frozen, and free to read. */
  health (): HealthSnapshot
  /** The latency of the last minute. */
  latency (): LatencySnapshot
  /** The latency of the last minute for the 20 operations with the most durations, busiest first. */
  operationLatencies (): readonly OperationLatency[]
  /** Lifetime totals by component and operation. */
  operations (): OperationTotals
  /** The firing alerts as clients receive them: for operators, or with `tenant` for one tenant. */
  alerts (options?: { tenant?: string }): Anomaly[]
  /**
   * Silences an alert by its fingerprint until a time in ms since 1970: it is marked with `silencedUntil` and causes no
   * reminders. `by` names the author of the silence. A time in the past ends the silence; one
   * after the year 9999 means its end.
   *
   * @throws FST_MC_INVALID_SILENCE if an argument has the wrong type, or cannot be a fingerprint
   */
  silence (fingerprint: string, untilMs: number, by: string): void
  /**
   * Calls `listener` at every event of this name until the returned function is called. Errors of a listener are
   * counted and logged.
   */
  on<Name extends keyof MonitoringEvents> (
    event: Name, listener: (...args: MonitoringEvents[Name]) => unknown
  ): Unsubscribe
}

/**
 * The facade over the service: its methods need no `this`, and the host cannot start or close the service through it.
 */
export function createMonitoring (service: MonitoringService, alerts: AlertService): Monitoring {
  return {
    trackOperation: (operation) => service.trackOperation(operation),
    time: (component, operation, fn) => service.time(component, operation, fn),
    addHealthCheck: (check) => service.addHealthCheck(check),
    reportHealth: (status, health) => service.reportHealth(status, health),
    health: () => service.health(),
    latency: () => service.latency(),
    operationLatencies: () => service.operationLatencies(),
    operations: () => service.operations(),
    alerts: ({ tenant } = {}) => alerts.of(tenant).firing(),
    silence: (fingerprint, untilMs, by) => alerts.silence(...checkSilence(fingerprint, untilMs, by)),
    on: (event, listener) => service.on(event, listener)
  }
}

/**
 * Records operations and health. Functions of the host (checks, provider, listeners) may throw, reject, hang or return
 * garbage without affecting anything else. After `close`, reports are ignored and questions are answered from the last
 * state.
 */
export class MonitoringService implements Omit<Monitoring, 'alerts' | 'silence'> {
  readonly #clock: Clock
  readonly #events: Events<MonitoringEvents>
  readonly #health: Health
  readonly #latency: LatencyWindow
  /** All durations of this process. */
  readonly totalLatency = new TotalLatency()
  readonly #operations: Operations
  #isClosed = false

  constructor ({ clock, health, operationBucketsMs = OPERATION_BUCKETS_MS, log, onCallbackError }: MonitoringDeps) {
    this.#clock = clock
    this.#operations = new Operations(operationBucketsMs, clock)
    this.#latency = new LatencyWindow(clock.monotonic())
    this.#events = new Events((err, event) => onCallbackError(`monitoring.${event}`, err))
    // A host's logger may throw too, and here it would do so in the middle of a round.
    const write = (level: 'warn' | 'info', fields: object, message: string) =>
      callGuarded(() => log[level](fields, message), (err) => onCallbackError('log', err))
    this.#health = new Health({
      clock,
      ...health,
      warn: (fields, message) => write('warn', fields, message),
      onTransition: (event, snapshot) => {
        const { status } = snapshot
        if (event === 'system_recovery') write('info', { status }, 'health recovered')
        else write('warn', { status, failing: failingOf(snapshot) }, 'health changed')
        this.#events.emit(event, snapshot)
      }
    })
  }

  trackOperation (operation: Operation): void {
    if (!this.#isClosed) this.#record(readOperation(operation))
  }

  time<T> (component: string, operation: string, fn: () => T): T {
    if (this.#isClosed) return fn()
    readOperation({ component, operation, status: 'success' })
    const startedMs = this.#clock.monotonic()
    return timeOperation(fn, (outcome) => {
      const durationMs = this.#clock.monotonic() - startedMs
      if (!this.#isClosed) this.#record({ component, operation, ...outcome, durationMs })
    })
  }

  addHealthCheck (check: HealthCheck): () => void {
    return this.#health.add(check)
  }

  reportHealth (status: HealthStatus, health?: ReportedHealth): void {
    if (!this.#isClosed) this.#health.report(status, health)
  }

  health (): HealthSnapshot {
    return this.#health.snapshot
  }

  healthTransitions (): HealthTransitionCount[] {
    return this.#health.transitions.read()
  }

  latency (): LatencySnapshot {
    return this.#latency.snapshot(this.#clock.monotonic())
  }

  /** The latency of the last minute, to be added to that of other processes. */
  latencyCounts (): LatencyCounts {
    return this.#latency.counts(this.#clock.monotonic())
  }

  operationLatencies (): readonly OperationLatency[] {
    return operationLatencyOf([this.operationCounts()])
  }

  /** The durations of the busiest operations in the last minute, to be merged with those of other processes. */
  operationCounts (): OperationCounts[] {
    return this.#operations.busiest(MAX_OPERATION_LATENCIES, this.#clock.monotonic())
  }

  operations (): OperationTotals {
    return this.#operations.totals()
  }

  on<Name extends keyof MonitoringEvents> (
    event: Name, listener: (...args: MonitoringEvents[Name]) => unknown
  ): Unsubscribe {
    return this.#isClosed ? () => {} : this.#events.on(event, listener)
  }

  /** Starts the rounds of health checks. */
  start (): void {
    this.#health.start()
  }

  /** Aborts running checks, stops all timers and removes all listeners. */
  close (): void {
    this.#isClosed = true
    this.#health.close()
    this.#events.clear()
  }

  #record (operation: Operation): void {
    const { durationMs } = operation
    const nowMs = this.#clock.monotonic()
    const isSuccess = operation.status === 'success'
    this.#operations.record(operation.component, operation.operation, { isSuccess, durationMs, nowMs })
    if (durationMs !== undefined) {
      this.#latency.record(durationMs, nowMs)
      this.totalLatency.record(durationMs)
    }
    this.#events.emit('operation_metric', operation)
  }
}

const MAX_BY = 128

function checkSilence (fingerprint: unknown, untilMs: unknown, by: unknown): [string, number, string] {
  if (typeof fingerprint !== 'string' || fingerprint === '' || fingerprint.length > MAX_FINGERPRINT) {
    throw new InvalidSilence('the fingerprint must be a text, such as the one of an alert')
  }
  if (!Number.isFinite(untilMs)) throw new InvalidSilence('the time must be a number, in ms since 1970')
  if (typeof by !== 'string' || by === '') throw new InvalidSilence('say who silences the alert')
  return [fingerprint, Math.min(Number(untilMs), LATEST_TIME_MS), by.slice(0, MAX_BY)]
}

const failingOf = ({ components }: HealthSnapshot): string[] =>
  Object.keys(components).filter((name) => components[name]!.status !== 'healthy')
