import type { Anomaly } from '../../../schemas/anomaly.js'
import type { TenantAlertsAsked } from '../../../schemas/cluster/messages.js'
import { SavedTenantAlerts } from '../../../schemas/cluster/saved-alerts.js'
import type { Clock } from '../../base/clock.js'
import { compile } from '../../base/validation.js'
import { hashText, type SavedAlert, type ScopeAlerts } from '../../monitoring/index.js'
import { createPublication, type PendingStep } from '../log/steps.js'
import { TENANT_ALERT_CHANNEL } from './published-alerts.js'
import type { RetainedState } from './retained-state.js'

/** Limit of tenants whose alerts are evaluated. */
const MAX_TENANTS = 1_000
/** The retained values that the tenants share, so that a change does not write the alerts of all of them. */
const SHARDS = 32
const MAX_RETAINED = 60_000
/** The number of tenants in one message. */
const MAX_ASKED = 100
/** How often the evaluation of a tenant is asked for again, and how long it is kept at least. */
const RENEW_MS = 300_000
const KEPT_MS = 2 * RENEW_MS

const isSaved = compile(SavedTenantAlerts)

export interface TenantAlertsDeps {
  clock: Clock
  state: RetainedState
  /** Creates the alerts of a tenant. */
  create: (tenant: string) => ScopeAlerts
  /** The tenants with subscribers in this process. */
  subscribed: () => readonly string[]
  append: (step: PendingStep) => void
  /** Sends a message to all processes. */
  send: (message: TenantAlertsAsked) => Promise<void>
}

/** What is retained of a tenant. */
interface SavedTenant { tenant: string, firing: SavedAlert[], resolved: Anomaly[] }

interface Known { readonly alerts: ScopeAlerts, askedAt: number }

/**
 * The alerts of tenants, which one process evaluates for all: for each tenant from the time on when a client of any
 * process has asked for its alerts. The firing and resolved alerts are retained in the log, so that every process knows
 * them and another one can take over.
 */
export class TenantAlerts {
  readonly #deps: TenantAlertsDeps
  /** In the order in which they were asked for. */
  readonly #known = new Map<string, Known>()
  /** The tenants that clients of this process have asked for. */
  readonly #asked = new Set<string>()

  constructor (deps: TenantAlertsDeps) {
    this.#deps = deps
  }

  /** The alerts of a tenant as this process knows them. Asks for their evaluation. */
  find (tenant: string): ScopeAlerts | undefined {
    this.#take(shardOf(tenant))
    this.#ask(tenant)
    return this.#known.get(tenant)?.alerts
  }

  /** Evaluates the alerts of all tenants. */
  evaluate (): void {
    this.#read()
    const changed = this.#accept([...this.#takeAsked(MAX_TENANTS)])
    for (const [tenant, { alerts }] of this.#known) {
      const changes = alerts.evaluate()
      for (const payload of changes) this.#publish({ tenant, payload, isReliable: true })
      if (changes.length > 0) changed.add(shardOf(tenant))
    }
    this.#keep(changed)
  }

  /** Tells the process that evaluates them which tenants clients of this process have asked for. */
  follow (): void {
    this.#read()
    const tenants = this.#takeAsked(MAX_ASKED)
    // A message that is lost is sent again, because the tenant stays unknown.
    if (tenants.length > 0) this.#deps.send({ type: 'tenant_alerts', tenants }).catch(() => {})
  }

  /** Another process has asked. */
  asked (tenants: readonly string[]): void {
    this.#keep(this.#accept(tenants))
  }

  #read (): void {
    for (let shard = 0; shard < SHARDS; shard++) this.#take(shard)
    for (const tenant of this.#deps.subscribed()) this.#ask(tenant)
  }

  #ask (tenant: string): void {
    const at = this.#deps.clock.monotonic()
    const known = this.#known.get(tenant)
    if (known !== undefined && at - known.askedAt < RENEW_MS) return
    if (this.#asked.size < MAX_TENANTS) this.#asked.add(tenant)
  }

  #takeAsked (max: number): string[] {
    const tenants = [...this.#asked].slice(0, max)
    const at = this.#deps.clock.monotonic()
    for (const tenant of tenants) {
      this.#asked.delete(tenant)
      const known = this.#known.get(tenant)
      if (known !== undefined) known.askedAt = at
    }
    return tenants
  }

  /** Takes tenants in. Returns the shards that have changed. */
  #accept (tenants: readonly string[]): Set<number> {
    const changed = new Set<number>()
    const at = this.#deps.clock.monotonic()
    for (const tenant of tenants) {
      const known = this.#known.get(tenant)
      if (known === undefined && !this.#makeRoom(at, changed)) continue
      this.#known.delete(tenant)
      this.#known.set(tenant, { alerts: known?.alerts ?? this.#deps.create(tenant), askedAt: at })
      if (known === undefined) changed.add(shardOf(tenant))
    }
    return changed
  }

  #makeRoom (at: number, changed: Set<number>): boolean {
    if (this.#known.size < MAX_TENANTS) return true
    const [tenant, { askedAt }] = this.#known.entries().next().value!
    if (at - askedAt < KEPT_MS) return false
    changed.add(shardOf(tenant))
    return this.#known.delete(tenant)
  }

  #keep (shards: ReadonlySet<number>): void {
    for (const shard of shards) {
      const tenants = [...this.#known].filter(([tenant]) => shardOf(tenant) === shard)
      const saved = saveTenants(tenants.map(([tenant, { alerts }]) => [tenant, alerts]))
      this.#publish({ retain: this.#deps.state.keep(keyOf(shard), saved) })
    }
  }

  #publish (options: Partial<Parameters<typeof createPublication>[0]>): void {
    this.#deps.append(createPublication({
      channel: TENANT_ALERT_CHANNEL, tenant: undefined, isReliable: false, payload: undefined, ...options
    }))
  }

  #take (shard: number): void {
    this.#deps.state.take(keyOf(shard), isSaved, (saved) => {
      const at = this.#deps.clock.monotonic()
      const before = [...this.#known.keys()].filter((tenant) => shardOf(tenant) === shard)
      const tenants = new Set(saved.map(({ tenant }) => tenant))
      for (const tenant of before) if (!tenants.has(tenant)) this.#known.delete(tenant)
      for (const { tenant, firing, resolved } of saved) {
        const known = this.#known.get(tenant) ?? { alerts: this.#deps.create(tenant), askedAt: at }
        this.#known.set(tenant, known)
        known.alerts.lifecycle.restore(firing, known.alerts.time)
        known.alerts.lifecycle.restoreHistory(resolved)
      }
    })
  }
}

const shardOf = (tenant: string): number => parseInt(hashText(tenant), 16) % SHARDS
const keyOf = (shard: number): string => `tenant_alerts:${shard}`

/** The state of some tenants. If it is too long, each one keeps the same number of alerts, firing ones first. */
function saveTenants (tenants: ReadonlyArray<readonly [tenant: string, alerts: ScopeAlerts]>): SavedTenant[] {
  const all = tenants.map(([tenant, { lifecycle, time }]) => ({
    saved: { tenant, firing: [], resolved: [] } as SavedTenant,
    firing: lifecycle.save(time),
    resolved: [...lifecycle.saveHistory()].reverse()
  }))
  let left = MAX_RETAINED - JSON.stringify(all.map(({ saved }) => saved)).length
  const fits = (value: object): boolean => (left -= JSON.stringify(value).length + 1) >= 0
  const most = Math.max(0, ...all.map(({ firing, resolved }) => firing.length + resolved.length))
  for (let index = 0; index < most; index++) {
    for (const { saved, firing, resolved } of all) {
      const alert = firing[index]
      const ended = resolved[index - firing.length]
      if (alert !== undefined && fits(alert)) saved.firing.push(alert)
      if (ended !== undefined && fits(ended)) saved.resolved.unshift(ended)
    }
  }
  return all.map(({ saved }) => saved)
}
