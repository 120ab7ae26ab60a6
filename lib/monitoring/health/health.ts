import type { HealthComponent, HealthReport, HealthSnapshot, HealthStatus } from '../../../schemas/health.js'
import { HealthChecks, type HealthChecksDeps } from './checks.js'
import { HEALTH_EVENTS, worstOf, type HealthEvent } from './severity.js'
import { readReportedHealth, reportedComponents } from './report.js'
import { COMPONENT_SEVERITY, type HealthCheck, type HealthReading } from './sources.js'
import { HealthHysteresis } from './hysteresis.js'
import { HealthTransitions } from './transitions.js'

export interface HealthDeps extends Omit<HealthChecksDeps, 'onRound'> {
  /** Called once per change of the overall status that is announced. */
  onTransition: (event: HealthEvent, snapshot: HealthSnapshot) => void
}

/** The components that a host may pass to `reportHealth`. Other properties are allowed and never leave the process. */
export type ReportedHealth = Partial<HealthReport>

interface ReportedStatus { status: HealthStatus, components: [string, HealthComponent][], reason?: string }

/**
 * The health of the service: the worse of two statuses. The status of the checks changes with hysteresis. The status
 * reported by the host applies at once and stays until the next report.
 */
export class Health {
  readonly transitions = new HealthTransitions()
  readonly #deps: HealthDeps
  readonly #checks: HealthChecks
  readonly #hysteresis = new HealthHysteresis()
  #round: HealthReading['components'] = []
  #checkedAt: number | null = null
  #reported: ReportedStatus | undefined
  #snapshot: HealthSnapshot = freeze({ status: 'unknown', checkedAt: null, components: {} })
  // The status of the last event. After a bad first round, the snapshot has its status before the event is emitted.
  #announced: HealthStatus | undefined

  constructor (deps: HealthDeps) {
    this.#deps = deps
    this.#checks = new HealthChecks({ ...deps, onRound: (round) => this.#observe(round) })
  }

  /** The health after the last round or report: frozen, and the same object until the next one. */
  get snapshot (): HealthSnapshot { return this.#snapshot }

  /** @see HealthChecks.add */
  add (check: HealthCheck): () => void {
    return this.#checks.add(check)
  }

  /**
   * Sets the reported status.
   *
   * @throws FST_MC_INVALID_HEALTH_REPORT
   */
  report (status: HealthStatus, health?: ReportedHealth): void {
    const report = readReportedHealth(status, health)
    const before = this.#snapshot.status
    const { reason } = report
    const components = reportedComponents(report, this.#deps.clock.now())
    this.#reported = { status: report.status, components, ...reason !== undefined && { reason } }
    const after = this.#recompute()
    // A milder report must not announce a bad first round: that event follows after the second bad round.
    if (after !== before || after === status) this.#announce(before)
  }

  start (): void {
    this.#checks.start()
  }

  close (): void {
    this.#checks.close()
  }

  #observe (round: HealthReading): void {
    const before = this.#snapshot.status
    const transition = this.#hysteresis.observe(round.status)
    this.#round = round.components
    this.#checkedAt = this.#deps.clock.now()
    this.#recompute()
    if (transition !== undefined) this.#announce(before)
  }

  #recompute (): HealthSnapshot['status'] {
    const status = worstOf(this.#hysteresis.status, this.#reported?.status ?? 'unknown')
    const components = mergeComponents([...this.#reported?.components ?? [], ...this.#round])
    this.transitions.changed(this.#snapshot.status, status)
    const reason = this.#reported?.reason
    this.#snapshot = freeze({ status, checkedAt: this.#checkedAt, components, ...reason !== undefined && { reason } })
    return status
  }

  #announce (before: HealthSnapshot['status']): void {
    const { status } = this.#snapshot
    if (status === 'unknown' || (status === before && status === this.#announced)) return
    this.#announced = status
    // Do not emit a recovery unless a failure was announced.
    if (status === 'healthy' && (before === 'healthy' || before === 'unknown')) return
    this.#deps.onTransition(HEALTH_EVENTS[status], this.#snapshot)
  }
}

/** Merges components by name: if several sources report the same component, the worst status wins. */
function mergeComponents (components: readonly [string, HealthComponent][]): Record<string, HealthComponent> {
  const merged = new Map<string, HealthComponent>()
  for (const [name, component] of components) {
    const other = merged.get(name)?.status ?? 'healthy'
    if (COMPONENT_SEVERITY[component.status] >= COMPONENT_SEVERITY[other]) merged.set(name, component)
  }
  // Assigning to an object literal would fail for a component called `__proto__`.
  return Object.fromEntries(merged)
}

function freeze (snapshot: HealthSnapshot): HealthSnapshot {
  for (const component of Object.values(snapshot.components)) Object.freeze(component)
  Object.freeze(snapshot.components)
  return Object.freeze(snapshot)
}
