import type { Anomaly, AnomalySeverity } from '../../../schemas/anomaly.js'
import type { HealthSnapshot } from '../../../schemas/health.js'
import type { OperationLatency } from '../../../schemas/metrics.js'
import type { AlertsOptions } from '../../../schemas/options/alerts.js'
import type { Clock, Timer } from '../../base/clock.js'
import { Events, type Unsubscribe } from '../../base/events.js'
import type { OperationCounters } from '../operations/operation-series.js'
import { AdaptiveSignals } from './adaptive/adaptive-signals.js'
import { bindRules, type EvaluatedRule } from './alert-rules.js'
import { bindHostRules, type HostAlertRule, type HostedRule } from './host-rules.js'
import { AlertCounts, type AlertTotals } from './alert-counts.js'
import type { ProcessFact, ProcessFacts } from './facts/alert-facts.js'
import { Silences } from './lifecycle/silences.js'
import { MissionWatch, type MissionSource } from './facts/mission-watch.js'
import { OperationWatch } from './facts/operation-watch.js'
import { ProcessWatch, type ProcessSource } from './facts/process-watch.js'
import { ScopeAlerts } from './scope-alerts.js'

/** The alerts of all processes, which one of them evaluates: of a tenant, or without a tenant those of operators. */
export interface SharedAlerts {
  firing (tenant: string | undefined): Anomaly[]
  history (limit: number, tenant: string | undefined): Anomaly[]
  silence (fingerprint: string, until: number, by: string): void
}

export interface AlertServiceDeps {
  clock: Clock
  options: AlertsOptions
  intervalMs: number
  /** The missions of a tenant, or without a tenant all of them. */
  missions: (tenant: string | undefined) => MissionSource
  health: () => HealthSnapshot
  /** The latency of the busiest operations in the last minute. */
  latencies: () => readonly OperationLatency[]
  /** The counters by component and operation. */
  operations: () => readonly OperationCounters[]
  /** How the processes with clients get along; `own` is this process. */
  processes: (own: ProcessFacts | undefined) => readonly ProcessFact[] | undefined
  /** Receives errors of rules and of listeners; `where` names the rule. */
  onCallbackError: (where: string, err: unknown) => void
}

/** The alerts that a viewer may see. */
export interface ViewedAlerts {
  firing (): Anomaly[]
  /** The last alerts, newest first. */
  history (limit: number): Anomaly[]
  /** Calls `listener` with every change. */
  onChanged (listener: (anomaly: Anomaly) => void): Unsubscribe
}

type Scope = { readonly alerts: ScopeAlerts, readonly events: Events<{ changed: [anomaly: Anomaly] }> }

/** Limit of tenants whose alerts are evaluated; the least recently used one is dropped first. */
const MAX_TENANTS = 1_000

const NO_COMPONENTS: HealthSnapshot = { status: 'unknown', checkedAt: null, components: {} }

/**
 * Evaluates the alert rules: for operators always, with subscribers or without, and for a tenant from the time on when
 * one of its clients asks for its alerts. One timer serves all of them.
 */
export class AlertService {
  readonly operators: ScopeAlerts
  /** The state that the operators' adaptive alerts have learned. */
  readonly signals: AdaptiveSignals
  /** Set if another part evaluates the alerts, because there are several processes. */
  shared: SharedAlerts | undefined
  readonly #deps: AlertServiceDeps
  readonly #rules: readonly EvaluatedRule[]
  readonly #hostRules: readonly HostedRule[]
  readonly #counts = new AlertCounts()
  readonly #scope: Scope
  readonly #tenants = new Map<string, Scope>()
  /** Those of operators and of all tenants. */
  readonly #silences = new Silences()
  #process: ProcessWatch | undefined
  #timer: Timer | undefined
  #isClosed = false

  constructor (deps: AlertServiceDeps) {
    this.#deps = deps
    const { rules, add = [] } = deps.options
    this.#hostRules = bindHostRules(add as HostAlertRule[], deps.clock)
    this.#rules = [...bindRules(rules), ...this.#hostRules]
    for (const { rule } of this.#hostRules) this.#counts.add(rule)
    this.signals = new AdaptiveSignals({ options: deps.options.adaptive, latencies: deps.latencies })
    for (const rule of Object.keys(this.signals.times)) this.#counts.add(rule)
    this.operators = this.createScope(undefined)
    this.#scope = { alerts: this.operators, events: this.#createEvents() }
  }

  /** From now on, the rules about the process read its counters. */
  observe (source: () => ProcessSource): void {
    this.#process = new ProcessWatch(source)
  }

  /** How this process gets along; `undefined` if it has no clients. */
  process (): ProcessFacts | undefined {
    return this.#process?.read(this.#deps.clock.monotonic())
  }

  start (): void {
    if (this.shared === undefined) this.#run()
  }

  /** The alerts of a tenant; without a tenant, the alerts of operators. */
  of (tenant: string | undefined): ViewedAlerts {
    const scope = (): Scope => tenant === undefined ? this.#scope : this.#tenantScope(tenant)
    return {
      firing: () => this.shared?.firing(tenant) ?? scope().alerts.lifecycle.firing(),
      history: (limit) => this.shared?.history(limit, tenant) ?? scope().alerts.lifecycle.history(limit),
      onChanged: (listener) => scope().events.on('changed', listener)
    }
  }

  /** Creates the alerts of a tenant; without a tenant, the alerts of operators. */
  createScope (tenant: string | undefined): ScopeAlerts {
    const { clock, options, missions, health, operations, processes, onCallbackError } = this.#deps
    const isTenant = tenant !== undefined
    const watch = new MissionWatch(missions(tenant))
    const operationWatch = new OperationWatch()
    return new ScopeAlerts({
      clock,
      repeatMs: options.repeatMs,
      rules: isTenant ? this.#rules.filter(({ isAboutMissions }) => isAboutMissions) : this.#rules,
      ...isTenant ? { labels: { tenant } } : { sources: [this.signals] },
      facts: (time) => ({
        now: time.now,
        missions: watch.read(time),
        health: isTenant ? NO_COMPONENTS : health(),
        processes: isTenant ? undefined : processes(this.process()),
        operations: isTenant ? [] : operationWatch.read(time.at, operations())
      }),
      silences: this.#silences,
      onError: (rule, err) => onCallbackError(`alert_rule.${rule}`, err),
      ...!isTenant && { onTransition: (rule, state) => this.#counts.changed(rule, state) }
    })
  }

  /** Silences the reminders of an alert until a time, in ms since 1970; a time that has passed ends the silence. */
  silence (fingerprint: string, until: number, by: string): void {
    if (this.shared !== undefined) this.shared.silence(fingerprint, until, by)
    else this.#silences.set(fingerprint, { until, by }, this.#deps.clock.now())
  }

  /** The alerts of operators by rule. */
  alertTotals (): AlertTotals {
    const firing = this.of(undefined).firing()
    return this.#counts.read(firing as Array<{ rule: string, severity: AnomalySeverity }>)
  }

  close (): void {
    this.#isClosed = true
    this.#timer?.cancel()
    for (const rule of this.#hostRules) rule.close()
    this.#scope.events.clear()
    for (const { events } of this.#tenants.values()) events.clear()
  }

  #run (): void {
    if (this.#isClosed) return
    this.#timer ??= this.#deps.clock.every(this.#deps.intervalMs, () => this.#evaluate())
  }

  #evaluate (): void {
    evaluateScope(this.#scope)
    for (const scope of this.#tenants.values()) evaluateScope(scope)
  }

  #tenantScope (tenant: string): Scope {
    const scope = this.#tenants.get(tenant) ?? { alerts: this.createScope(tenant), events: this.#createEvents() }
    this.#tenants.delete(tenant)
    this.#tenants.set(tenant, scope)
    if (this.#tenants.size > MAX_TENANTS) this.#dropTenant()
    this.#run()
    return scope
  }

  // Not one whose clients are subscribed.
  #dropTenant (): void {
    for (const [tenant, { events }] of this.#tenants) {
      if (events.count('changed') > 0) continue
      this.#tenants.delete(tenant)
      break
    }
  }

  #createEvents (): Scope['events'] {
    return new Events((err) => this.#deps.onCallbackError('alert_listener', err))
  }
}

function evaluateScope ({ alerts, events }: Scope): void {
  for (const anomaly of alerts.evaluate()) events.emit('changed', anomaly)
}
