import type { HealthComponent, HealthSnapshot } from '../../schemas/health.js'
import type { Clock } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { worstOf, type MonitoringService } from '../monitoring/index.js'
import type { Reports } from './reports.js'

export interface ClusterHealthDeps {
  clock: Clock
  monitoring: MonitoringService
  reports: Reports
  onListenerError: (err: unknown) => void
}

const CHANGES = ['health_degraded', 'health_critical', 'system_recovery'] as const
const MAX_NAME = 64

/**
 * The health of all processes: the worst one, with the components of the others under their instance. The backplane is
 * a component of its own; without it, this process sees only itself.
 */
export class ClusterHealth {
  readonly #deps: ClusterHealthDeps
  readonly #events: Events<{ changed: [health: HealthSnapshot] }>
  readonly #unsubscribers: Unsubscribe[]
  #isAway = true
  #changedAt: number
  #announced: HealthSnapshot['status']

  constructor (deps: ClusterHealthDeps) {
    const { clock, monitoring, reports, onListenerError } = deps
    this.#deps = deps
    this.#events = new Events(onListenerError)
    this.#changedAt = clock.now()
    const check = () => this.#check()
    this.#unsubscribers = [...CHANGES.map((event) => monitoring.on(event, check)), reports.onChanged(check)]
    this.#announced = this.all().status
  }

  get isAway (): boolean { return this.#isAway }

  /** The backplane does not answer, or answers again. */
  set isAway (isAway: boolean) {
    if (this.#isAway === isAway) return
    this.#isAway = isAway
    this.#changedAt = this.#deps.clock.now()
    this.#check()
  }

  /** The health of this process and of the backplane. */
  own (): HealthSnapshot {
    const { status, components, ...others } = this.#deps.monitoring.health()
    return {
      ...others,
      status: worstOf(status, this.#isAway ? 'degraded' : 'unknown'),
      components: { ...components, backplane: this.#backplane() }
    }
  }

  all (): HealthSnapshot {
    const health = this.own()
    for (const [instance, other] of this.#deps.reports.health()) {
      health.status = worstOf(health.status, other.status)
      for (const [name, component] of Object.entries(other.components)) {
        health.components[`${instance}/${name}`.slice(-MAX_NAME)] = component
      }
    }
    return health
  }

  /** Calls `listener` when the status of all processes together has changed. */
  onChanged (listener: (health: HealthSnapshot) => void): Unsubscribe { return this.#events.on('changed', listener) }

  close (): void {
    for (const unsubscribe of this.#unsubscribers) unsubscribe()
    this.#events.clear()
  }

  #backplane (): HealthComponent {
    const status = this.#isAway ? 'degraded' : 'healthy'
    const error = this.#isAway ? 'unavailable' : null
    return { status, critical: false, responseTimeMs: null, error, checkedAt: this.#changedAt }
  }

  #check (): void {
    const health = this.all()
    const before = this.#announced
    this.#announced = health.status
    const isNews = health.status !== before && !(health.status === 'healthy' && before === 'unknown')
    if (isNews) this.#events.emit('changed', health)
  }
}
