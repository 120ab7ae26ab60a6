import type { HealthComponent, HealthReport, HealthSnapshot, HealthStatus } from '../../../schemas/health.js'
import { HealthChecks, type HealthChecksInit } from './checks.js'
import { HEALTH_EVENTS, worstOf, type HealthEvent } from './levels.js'
import { readReportedHealth, reportedComponents } from './report.js'
import { COMPONENT_BADNESS, type HealthCheck, type Reading } from './sources.js'
import { HealthTransitions } from './hysteresis.js'

export interface HealthInit extends Omit<HealthChecksInit, 'onRound'> {
  /** Called once at each change of the overall status that is to be announced. */
  onEdge: (event: HealthEvent, snapshot: HealthSnapshot) => void
}

/** What a host may add to `reportHealth`: its components. Other properties are allowed and never leave the process. */
export type ReportedHealth = Partial<HealthReport>

interface Word { status: HealthStatus, components: [string, HealthComponent][] }

/**
 * The health of the service: the worst of the check rounds, whose status changes with hysteresis, and of the host's own
 * word, which holds at once and until its next one.
 */
export class Health {
  readonly #init: HealthInit
  readonly #checks: HealthChecks
  readonly #transitions = new HealthTransitions()
  #round: Reading['components'] = []
  #checkedAt: number | null = null
  #word: Word | undefined
  #snapshot: HealthSnapshot = freeze({ status: 'unknown', checkedAt: null, components: {} })
  // What the last event said; differs from the snapshot's status while a bad first round waits to be confirmed.
  #announced: HealthStatus | undefined

  constructor (init: HealthInit) {
    this.#init = init
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
    this.#word = { status: report.status, components: reportedComponents(report, this.#init.clock.now()) }
    const after = this.#renew()
    // A milder word does not announce a bad first round that still waits for its confirmation.
    if (after !== before || after === status) this.#announce(before)
  }

  start (): void {
    this.#checks.start()
  }

  close (): void {
    this.#checks.close()
  }

  #observe (round: Reading): void {
    const before = this.#snapshot.status
    const edge = this.#transitions.observe(round.level)
    this.#round = round.components
    this.#checkedAt = this.#init.clock.now()
    this.#renew()
    if (edge !== undefined) this.#announce(before)
  }

  #renew (): HealthSnapshot['status'] {
    const status = worstOf(this.#transitions.status, this.#word?.status ?? 'unknown')
    const components = mergeComponents([...this.#word?.components ?? [], ...this.#round])
    this.#snapshot = freeze({ status, checkedAt: this.#checkedAt, components })
    return status
  }

  #announce (before: HealthSnapshot['status']): void {
    const { status } = this.#snapshot
    if (status === 'unknown' || (status === before && status === this.#announced)) return
    this.#announced = status
    // Nobody has recovered who was never seen to be ill.
    if (status === 'healthy' && (before === 'healthy' || before === 'unknown')) return
    this.#init.onEdge(HEALTH_EVENTS[status], this.#snapshot)
  }
}

/** One component a name: where several sources speak of the same one, the worst counts. */
function mergeComponents (components: readonly [string, HealthComponent][]): Record<string, HealthComponent> {
  const merged = new Map<string, HealthComponent>()
  for (const [name, component] of components) {
    const other = merged.get(name)
    if (other === undefined || COMPONENT_BADNESS[component.status] >= COMPONENT_BADNESS[other.status]) merged.set(name, component)
  }
  // Not an object literal filled by assignment: a component may be called `__proto__`.
  return Object.fromEntries(merged)
}

function freeze (snapshot: HealthSnapshot): HealthSnapshot {
  for (const component of Object.values(snapshot.components)) Object.freeze(component)
  Object.freeze(snapshot.components)
  return Object.freeze(snapshot)
}
