import type { ClusterReport } from '../../schemas/cluster/messages.js'
import type { HealthSnapshot } from '../../schemas/health.js'
import type { LatencySnapshot } from '../../schemas/metrics.js'
import type { Clock, Timer } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { latencyOf, type LatencyCounts, type MonitoringService } from '../monitoring/index.js'
import type { Membership } from './membership.js'

/** Reports are sent this often while operations run, and at least this often in any case. */
const BUSY_MS = 2_500
const IDLE_MS = 15_000
/** A report of a process that is not heard of for longer does not count any more. */
const STALE_MS = 45_000

type OwnCounts = Pick<ClusterReport, 'lateOutcomes' | 'refused' | 'untracked'>

export interface ReportsDeps {
  clock: Clock
  monitoring: MonitoringService
  membership: Membership
  /** The counts of this process that the log does not have. */
  counts: () => OwnCounts
  send: (report: ClusterReport) => Promise<void>
  onListenerError: (err: unknown) => void
}

interface Received { readonly report: ClusterReport, readonly at: number }

/**
 * What the processes tell each other beside the log: latency, health and some counts. The numbers of all processes
 * together are exact, because histograms are added and not their percentiles.
 */
export class Reports {
  readonly #deps: ReportsDeps
  readonly #received = new Map<string, Received>()
  readonly #events: Events<{ changed: [] }>
  readonly #unsubscribers: Unsubscribe[] = []
  #timer: Timer | undefined
  #sentAt = -Infinity
  #isDue = false

  constructor (deps: ReportsDeps) {
    this.#deps = deps
    this.#events = new Events(deps.onListenerError)
  }

  /** Starts to send reports. */
  start (): void {
    const { clock, monitoring } = this.#deps
    this.#unsubscribers.push(monitoring.on('operation_metric', () => { this.#isDue = true }))
    for (const event of ['health_degraded', 'health_critical', 'system_recovery'] as const) {
      this.#unsubscribers.push(monitoring.on(event, () => this.#send()))
    }
    this.#timer = clock.every(BUSY_MS, () => {
      if (this.#isDue || clock.monotonic() - this.#sentAt >= IDLE_MS - BUSY_MS) this.#send()
    })
    this.#send()
  }

  /** Takes the report of another process. The own one comes too and is ignored. */
  received (report: ClusterReport): void {
    if (this.#deps.membership.isOwn(report.from)) return
    // A process that has just joined knows nothing of the others.
    if (!this.#received.has(report.from)) this.#isDue = true
    this.#received.set(report.from, { report, at: this.#deps.clock.monotonic() })
    this.#events.emit('changed')
  }

  /** Calls `listener` when the numbers of another process have changed. */
  onChanged (listener: () => void): Unsubscribe { return this.#events.on('changed', listener) }

  /** The latency of all processes. */
  latency (): LatencySnapshot {
    return latencyOf([this.#deps.monitoring.latencyCounts(), ...this.#others().map(({ latency }) => latency)])
  }

  /** The health of the other processes. */
  health (): Array<[instance: string, health: HealthSnapshot]> {
    return this.#others().map(({ from, health }) => [from, health])
  }

  counts (): OwnCounts {
    const sum = { ...this.#deps.counts() }
    for (const { lateOutcomes, refused, untracked } of this.#others()) {
      sum.lateOutcomes += lateOutcomes
      sum.refused += refused
      sum.untracked += untracked
    }
    return sum
  }

  close (): void {
    this.#timer?.cancel()
    for (const unsubscribe of this.#unsubscribers) unsubscribe()
    this.#events.clear()
  }

  #others (): ClusterReport[] {
    const { clock, membership } = this.#deps
    const oldestAt = clock.monotonic() - STALE_MS
    for (const [from, { at }] of this.#received) if (at < oldestAt) this.#received.delete(from)
    return [...this.#received.values()].map(({ report }) => report).filter(({ from }) => membership.isAlive(from))
  }

  // A report that is lost is followed by the next one.
  #send (): void {
    const { clock, monitoring, membership, counts, send } = this.#deps
    this.#isDue = false
    this.#sentAt = clock.monotonic()
    const latency: LatencyCounts = monitoring.latencyCounts()
    const report = { type: 'report' as const, from: membership.instance.id, latency, health: monitoring.health() }
    send({ ...report, ...counts() }).catch(() => { this.#isDue = true })
  }
}
