import { MAX_COUNTED_OPERATIONS, type ClusterReport } from '../../schemas/cluster/messages.js'
import type { HealthSnapshot } from '../../schemas/health.js'
import type { LatencyHistogram, LatencySnapshot, OperationLatency } from '../../schemas/metrics.js'
import type { Clock, Timer } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import {
  latencyOf, mostReported, operationLatencyOf, SharedLatency, SharedOperations, type MonitoringService,
  type OperationCounters, type ProcessFact, type ProcessFacts
} from '../monitoring/index.js'
import type { Membership } from './membership.js'

/** Reports are sent this often while operations run, and at least this often in any case. */
const BUSY_MS = 2_500
const IDLE_MS = 15_000
/** A report of a process that is not heard of for longer does not count any more. */
const STALE_MS = 45_000
const MAX_PROCESSES = 100
/** Stands for this process, whose id may change. */
const OWN = ''
/** How long other processes keep sending the requested values. */
const ASKED_MS = 30_000

type OwnCounts = Pick<ClusterReport, 'lateOutcomes' | 'refused' | 'untracked'>

export interface ReportsDeps {
  clock: Clock
  monitoring: MonitoringService
  membership: Membership
  /** How this process gets along; `undefined` for one without clients. */
  process: () => ProcessFacts | undefined
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
  readonly #total = new SharedLatency()
  readonly #counters = new SharedOperations()
  #askedAt = -Infinity
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
    const before = this.#received.get(report.from)?.report
    if (before === undefined || before.asks !== report.asks) this.#isDue = true
    const at = this.#deps.clock.monotonic()
    if (report.total !== undefined) this.#total.update(report.from, report.total)
    if (report.operationCounters !== undefined) this.#counters.update(report.from, report.operationCounters, at)
    this.#received.set(report.from, { report, at })
    this.#events.emit('changed')
  }

  /** Calls `listener` when the numbers of another process have changed. */
  onChanged (listener: () => void): Unsubscribe { return this.#events.on('changed', listener) }

  /** The latency of all processes. */
  latency (): LatencySnapshot {
    return latencyOf([this.#deps.monitoring.latencyCounts(), ...this.#others().map(({ latency }) => latency)])
  }

  /**
   * All durations of this process, and the durations that other processes have measured since they were first asked.
   * The first call starts asking them.
   */
  histogram (): LatencyHistogram {
    this.#ask()
    this.#total.update(OWN, this.#deps.monitoring.totalLatency.counts(), true)
    return this.#total.read()
  }

  /** The latency of the busiest operations of all processes. From the first call on, the others are asked. */
  operationLatencies (): OperationLatency[] {
    this.#ask()
    const others = this.#others().map(({ operations = [] }) => operations)
    return operationLatencyOf([this.#deps.monitoring.operationCounts(), ...others])
  }

  /** How often the operations of all processes were reported. From the first call on, the others are asked. */
  operationCounters (): OperationCounters[] {
    this.#ask()
    const at = this.#deps.clock.monotonic()
    this.#counters.update(OWN, this.#deps.monitoring.operations().series, at, true)
    return this.#counters.read(at)
  }

  /**
   * How the processes with clients get along, at most 100 of them. `own` is this process. A process that is alive, but
   * has not reported lately, has no facts; one that is gone is left out.
   */
  processes (own: ProcessFacts | undefined): ProcessFact[] {
    const { membership } = this.#deps
    const reports = new Map(this.#others().map((report) => [report.from, report]))
    const isAlone = membership.alive.length <= 1
    return membership.alive.slice(0, MAX_PROCESSES).flatMap(({ id }) => {
      const isKnown = membership.isOwn(id) || reports.has(id)
      const facts = membership.isOwn(id) ? own : reports.get(id)?.process
      return isKnown && facts === undefined ? [] : { instance: isAlone ? undefined : id, facts }
    })
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
    for (const [from, { at }] of this.#received) {
      if (at >= oldestAt) continue
      this.#received.delete(from)
      this.#total.forget(from)
      this.#counters.forget(from)
    }
    return [...this.#received.values()].map(({ report }) => report).filter(({ from }) => membership.isAlive(from))
  }

  #ask (): void {
    if (!this.#asks) this.#isDue = true
    this.#askedAt = this.#deps.clock.monotonic()
  }

  // The process that evaluates the alerts always needs them.
  get #asks (): boolean {
    const { clock, membership } = this.#deps
    return membership.isLeader || clock.monotonic() - this.#askedAt < ASKED_MS
  }

  // A report that is lost is followed by the next one.
  #send (): void {
    this.#isDue = false
    this.#sentAt = this.#deps.clock.monotonic()
    this.#deps.send(this.#create()).catch(() => { this.#isDue = true })
  }

  #create (): ClusterReport {
    const { monitoring, membership, counts, process } = this.#deps
    const facts = process()
    const isAsked = this.#others().some(({ asks }) => asks)
    return {
      type: 'report',
      from: membership.instance.id,
      latency: monitoring.latencyCounts(),
      health: monitoring.health(),
      ...counts(),
      ...(this.#asks && { asks: true }),
      ...(facts !== undefined && { process: facts }),
      ...(isAsked && {
        total: monitoring.totalLatency.counts(),
        operations: monitoring.operationCounts(),
        operationCounters: mostReported(monitoring.operations().series, MAX_COUNTED_OPERATIONS)
      })
    }
  }
}
