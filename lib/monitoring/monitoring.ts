import type { ResolvedOptions } from '../../schemas/options.js'
import type { HealthSnapshot, HealthStatus } from '../../schemas/health.js'
import type { LatencySnapshot, Operation } from '../../schemas/metrics.js'
import type { Clock } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { Health, type ReportedHealth } from './health/health.js'
import type { HealthCheck } from './health/sources.js'
import { LatencyWindow } from './operations/latency-window.js'
import { readOperation, timeOperation } from './operations/operation.js'
import { Operations, type OperationTotals } from './operations/operations.js'

/** What `monitoring.on` listens to: an operation as it was counted, or the health after a change of its overall status. */
export type MonitoringEvents = {
  operation_metric: [operation: Operation]
  health_degraded: [health: HealthSnapshot]
  health_critical: [health: HealthSnapshot]
  system_recovery: [health: HealthSnapshot]
}

export interface MonitoringDeps {
  clock: Clock
  health: ResolvedOptions['health']
  /** Gets failures of health checks at `warn`, once per change. */
  log: { warn (fields: object, message: string): void }
  /** Gets what a listener of the host threw or rejected with; `where` is `monitoring.` and the event, or `log`. */
  onCallbackError: (where: string, err: unknown) => void
}

/**
 * What the host tells of its operations and its health, as `app.monitoring`.
 *
 * Functions of the host (checks, provider, listeners) may throw, reject, hang or give garbage; only they suffer. After
 * `close` every method may still be called: what is told then is ignored, what is asked is answered from the last state.
 */
export class Monitoring {
  readonly #clock: Clock
  readonly #events: Events<MonitoringEvents>
  readonly #health: Health
  readonly #latency: LatencyWindow
  readonly #operations = new Operations()
  #isClosed = false

  constructor ({ clock, health, log, onCallbackError }: MonitoringDeps) {
    this.#clock = clock
    this.#latency = new LatencyWindow(clock.monotonic())
    this.#events = new Events((err, event) => onCallbackError(`monitoring.${event}`, err))
    this.#health = new Health({
      clock,
      ...health,
      warn (fields, message) {
        // A host's logger may throw too, and here it would do so in the middle of a round.
        try { log.warn(fields, message) } catch (err) { onCallbackError('log', err) }
      },
      onTransition: (event, snapshot) => this.#events.emit(event, snapshot)
    })
  }

  /**
   * Counts one operation that has ended. A `durationMs` that is negative or not finite is left out.
   *
   * @throws FST_MC_INVALID_OPERATION if it has the wrong shape
   */
  trackOperation (operation: Operation): void {
    if (!this.#isClosed) this.#record(readOperation(operation))
  }

  /**
   * Calls `fn`, counts how it ended and how long it took, and gives or throws what `fn` did. If `fn` gives a promise,
   * the answer is a promise of the same outcome, and the operation ends with it.
   *
   * @throws FST_MC_INVALID_OPERATION before `fn` is called if a name is not a text of at least one character
   */
  time<T> (component: string, operation: string, fn: () => T): T {
    if (this.#isClosed) return fn()
    readOperation({ component, operation, status: 'success' })
    const startedMs = this.#clock.monotonic()
    return timeOperation(fn, (outcome) => {
      if (!this.#isClosed) this.#record({ component, operation, ...outcome, durationMs: this.#clock.monotonic() - startedMs })
    })
  }

  /**
   * Adds a health check and answers a function that removes it.
   *
   * @throws FST_MC_INVALID_HEALTH_CHECK if it has the wrong shape, or its name is taken
   */
  addHealthCheck (check: HealthCheck): () => void {
    return this.#health.add(check)
  }

  /**
   * Tells the host's own view of its health, which holds at once and until it is told again; the overall status is the
   * worst of it and the checks. `health` may name components.
   *
   * @throws FST_MC_INVALID_HEALTH_REPORT if it has the wrong shape
   */
  reportHealth (status: HealthStatus, health?: ReportedHealth): void {
    if (!this.#isClosed) this.#health.report(status, health)
  }

  /** The health after the last round of checks or report: frozen, and read at no cost. */
  health (): HealthSnapshot {
    return this.#health.snapshot
  }

  /** The latency of the last minute. */
  latency (): LatencySnapshot {
    return this.#latency.snapshot(this.#clock.monotonic())
  }

  /** Lifetime totals by component and operation. */
  operations (): OperationTotals {
    return this.#operations.totals()
  }

  /** Calls `listener` at every `event`, at once, until the returned function is called. */
  on<Name extends keyof MonitoringEvents> (event: Name, listener: (...args: MonitoringEvents[Name]) => unknown): Unsubscribe {
    return this.#isClosed ? () => {} : this.#events.on(event, listener)
  }

  /** Begins the rounds of health checks. */
  start (): void {
    this.#health.start()
  }

  /** Aborts the checks that run, stops all timers and takes all listeners off. */
  close (): void {
    this.#isClosed = true
    this.#health.close()
    this.#events.clear()
  }

  #record (operation: Operation): void {
    const { durationMs } = operation
    this.#operations.record(operation.component, operation.operation, operation.status === 'success', durationMs)
    if (durationMs !== undefined) this.#latency.record(durationMs, this.#clock.monotonic())
    this.#events.emit('operation_metric', operation)
  }
}
