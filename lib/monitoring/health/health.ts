import type { HealthComponent, HealthReport, HealthSnapshot, HealthStatus } from '../../../schemas/health.js'
import { HealthChecks, type HealthChecksDeps } from './checks.js'
import { HEALTH_EVENTS, worstOf, type HealthEvent } from './levels.js'
import { readReportedHealth, reportedComponents } from './report.js'
import { COMPONENT_SEVERITY, type HealthCheck, type HealthReading } from './sources.js'
import { HealthHysteresis } from './hysteresis.js'

export interface HealthDeps extends Omit<HealthChecksDeps, 'onRound'> {
  /** Called once at each change of the overall status that is to be announced. */
  onTransition: (event: HealthEvent, snapshot: HealthSnapshot) => void
}

/** What a host may add to `reportHealth`: its components. Other properties are allowed and never leave the process. */
export type ReportedHealth = Partial<HealthReport>

interface ReportedStatus { status: HealthStatus, components: [string, HealthComponent][] }

/**
 * The health of the service: the worst of the check rounds, whose status changes with hysteresis, and of the host's own
 * word, which holds at once and until its next one.
 */
export class Health {
  readonly #deps: HealthDeps
  readonly #checks: HealthChecks
  readonly #hysteresis = new HealthHysteresis()
  #round: HealthReading['components'] = []
  #checkedAt: number | null = null
  #reported: ReportedStatus | undefined
  #snapshot: HealthSnapshot = freeze({ status: 'unknown', checkedAt: null, components: {} })
  // What the last event said; differs from the snapshot's status while a bad first round waits to be confirmed.
  #announced: HealthStatus | undefined

  constructor (init: HealthDeps) {
    this.#deps = init
    this.#checks = new HealthChecks({ ...init, onRound: (round) => this.#observe(round) })
  }

  /** The health after the last round or report: frozen, and the same object until the next one. */
  get snapshot (): HealthSnapshot { return this.#snapshot }

  /** @see HealthChecks.add */
  add (check: HealthCheck): () => void {
    return this.#checks.add(check)
  }

  /**
   * Takes the host's word for its health.
   *
   * @throws FST_MC_INVALID_HEALTH_REPORT
   */
  report (status: HealthStatus, health?: ReportedHealth): void {
    const report = readReportedHealth(status, health)
    const before = this.#snapshot.status
    this.#reported = { status: report.status, components: reportedComponents(report, this.#deps.clock.now()) }
    const after = this.#recompute()
    // A milder word does not announce a bad first round that still waits for its confirmation.
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
    const edge = this.#hysteresis.observe(round.level)
    this.#round = round.components
    this.#checkedAt = this.#deps.clock.now()
    this.#recompute()
    if (edge !== undefined) this.#announce(before)
  }

  #recompute (): HealthSnapshot['status'] {
    const status = worstOf(this.#hysteresis.status, this.#reported?.status ?? 'unknown')
    const components = mergeComponents([...this.#reported?.components ?? [], ...this.#round])
    this.#snapshot = freeze({ status, checkedAt: this.#checkedAt, components })
    return status
  }

  #announce (before: HealthSnapshot['status']): void {
    const { status } = this.#snapshot
    if (status === 'unknown' || (status === before && status === this.#announced)) return
    this.#announced = status
    // Nobody has recovered who was never seen to be ill.
    if (status === 'healthy' && (before === 'healthy' || before === 'unknown')) return
    this.#deps.onTransition(HEALTH_EVENTS[status], this.#snapshot)
  }
}

/** One component a name: where several sources speak of the same one, the worst counts. */
function mergeComponents (components: readonly [string, HealthComponent][]): Record<string, HealthComponent> {
  const merged = new Map<string, HealthComponent>()
  for (const [name, component] of components) {
    const other = merged.get(name)
    if (other === undefined || COMPONENT_SEVERITY[component.status] >= COMPONENT_SEVERITY[other.status]) merged.set(name, component)
  }
  // Not an object literal filled by assignment: a component may be called `__proto__`.
  return Object.fromEntries(merged)
}

function freeze (snapshot: HealthSnapshot): HealthSnapshot {
  for (const component of Object.values(snapshot.components)) Object.freeze(component)
  Object.freeze(snapshot.components)
  return Object.freeze(snapshot)
}
