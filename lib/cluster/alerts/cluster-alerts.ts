import type { Anomaly } from '../../../schemas/anomaly.js'
import type { TenantAlertsAsked } from '../../../schemas/cluster/messages.js'
import { SavedAlerts, SavedHistory, SavedSilences } from '../../../schemas/cluster/saved-alerts.js'
import { SavedSignals } from '../../../schemas/cluster/saved-signals.js'
import type { Clock, Timer } from '../../base/clock.js'
import { compile } from '../../base/validation.js'
import type { AdaptiveSignals, SavedAlert, ScopeAlerts, SharedAlerts, Silence } from '../../monitoring/index.js'
import { createPublication, type PendingStep } from '../log/steps.js'
import type { Picture } from '../picture/picture.js'
import { ALERT_CHANNEL as CHANNEL, PublishedAlerts } from './published-alerts.js'
import { RetainedState } from './retained-state.js'
import { TenantAlerts } from './tenant-alerts.js'

/** The keys of the values that the log retains. */
const ALERTS = 'alerts'
const HISTORY = 'alert_history'
const SILENCES = 'alert_silences'
const SIGNALS = 'alert_signals'
/** How often the learned signals are retained. If another process takes over, later samples are lost. */
const SIGNALS_MS = 300_000
/** A longer value is not retained, so the oldest parts are left out. */
const MAX_RETAINED = 60_000

const isSaved = compile(SavedAlerts)
const isHistory = compile(SavedHistory)
const isSilences = compile(SavedSilences)
const isSignals = compile(SavedSignals)

export interface ClusterAlertsDeps {
  clock: Clock
  intervalMs: number
  picture: Picture
  /** The alerts as this process evaluates them. */
  alerts: ScopeAlerts
  /** The state that the adaptive alerts have learned. */
  signals: Pick<AdaptiveSignals, 'save' | 'restore'>
  /** Creates the alerts of a tenant. */
  createTenant: (tenant: string) => ScopeAlerts
  /** Whether this process evaluates the rules now. */
  isEvaluating: () => boolean
  append: (step: PendingStep) => void
  /** Sends a message to all processes. */
  send: (message: TenantAlertsAsked) => Promise<void>
  onListenerError: (err: unknown) => void
}

/**
 * The alerts of the whole service. One process at a time evaluates the rules. It publishes the changes through the log
 * together with the firing and resolved alerts, so that another process can take over.
 */
export class ClusterAlerts implements SharedAlerts {
  readonly #deps: ClusterAlertsDeps
  /** The alerts in the log. */
  readonly published: PublishedAlerts
  readonly #timer: Timer
  readonly #state: RetainedState
  readonly #tenants: TenantAlerts
  #signalsAt: number

  constructor (deps: ClusterAlertsDeps) {
    this.#deps = deps
    const published = this.published = new PublishedAlerts(deps.picture, deps.onListenerError)
    this.#state = new RetainedState(deps.picture)
    this.#tenants = new TenantAlerts({
      ...deps, state: this.#state, create: deps.createTenant, subscribed: () => published.tenants
    })
    this.#signalsAt = deps.clock.monotonic()
    this.#timer = deps.clock.every(deps.intervalMs, () => this.#evaluate())
  }

  firing (tenant: string | undefined): Anomaly[] {
    return this.#find(tenant)?.lifecycle.firing() ?? []
  }

  history (limit: number, tenant: string | undefined): Anomaly[] {
    return this.#find(tenant)?.lifecycle.history(limit) ?? []
  }

  silence (fingerprint: string, until: number, by: string): void {
    const { alerts: { lifecycle: { silences }, time }, append } = this.#deps
    this.#restore()
    silences.set(fingerprint, { until, by }, time.now)
    const retain = this.#state.keep(SILENCES, newest(silences.read()))
    append(createPublication({ channel: CHANNEL, tenant: undefined, isReliable: false, payload: undefined, retain }))
  }

  close (): void {
    this.#timer.cancel()
    this.published.close()
  }

  /** Another process has asked for the alerts of tenants. */
  tenantsAsked (tenants: readonly string[]): void {
    if (this.#deps.isEvaluating()) this.#tenants.asked(tenants)
  }

  #find (tenant: string | undefined): ScopeAlerts | undefined {
    this.#restore()
    return tenant === undefined ? this.#deps.alerts : this.#tenants.find(tenant)
  }

  #evaluate (): void {
    const { isEvaluating, alerts, append } = this.#deps
    if (!isEvaluating()) return this.#tenants.follow()
    this.#restore()
    this.#tenants.evaluate()
    const changes = alerts.evaluate()
    const saved = { channel: CHANNEL, tenant: undefined, payload: undefined, isReliable: false }
    if (changes.some(({ state }) => state === 'resolved')) {
      const history = this.#state.keep(HISTORY, newest(alerts.lifecycle.saveHistory()))
      append(createPublication({ ...saved, retain: history }))
    }
    for (const [index, payload] of changes.entries()) {
      const isLast = index === changes.length - 1
      const retain = isLast ? this.#state.keep(ALERTS, shorten(alerts.lifecycle.save(alerts.time))) : undefined
      append(createPublication({ ...saved, isReliable: true, payload, retain }))
    }
    this.#keepSignals()
  }

  #keepSignals (): void {
    const { signals, clock, append } = this.#deps
    const at = clock.monotonic()
    if (at - this.#signalsAt < SIGNALS_MS) return
    this.#signalsAt = at
    const retain = this.#state.keep(SIGNALS, signals.save())
    append(createPublication({ channel: CHANNEL, tenant: undefined, isReliable: false, payload: undefined, retain }))
  }

  // The last evaluation may have been that of another process.
  #restore (): void {
    const { alerts: { lifecycle, time }, signals } = this.#deps
    this.#state.take(ALERTS, isSaved, (saved) => lifecycle.restore(saved, time))
    this.#state.take(HISTORY, isHistory, (saved) => lifecycle.restoreHistory(saved))
    this.#state.take(SILENCES, isSilences, (saved) => lifecycle.silences.replace(saved as Array<[string, Silence]>))
    this.#state.take(SIGNALS, isSignals, (saved) => signals.restore(saved, time))
  }
}

/** Alerts that are too long together lose their details, which the next evaluation reads again. */
function shorten (alerts: readonly SavedAlert[]): readonly SavedAlert[] {
  if (JSON.stringify(alerts).length <= MAX_RETAINED) return alerts
  return newest(alerts.map((alert) => ({ ...alert, condition: { ...alert.condition, details: null } })))
}

/** The newest parts whose JSON is not too long. */
function newest<Part> (parts: readonly Part[]): Part[] {
  const kept: Part[] = []
  let length = 0
  for (const part of [...parts].reverse()) {
    length += JSON.stringify(part).length + 1
    if (length > MAX_RETAINED) break
    kept.unshift(part)
  }
  return kept
}
