import type { ChannelName } from '../../schemas/channels/index.js'
import type { GapCause } from '../../schemas/messages/server-messages.js'
import { Broadcaster, type SharedBroadcasterDeps } from './broadcaster.js'
import type { Channel } from './channel.js'
import type { SharedConnectionDeps } from './connections/connection.js'
import { BudgetOwners } from './delivery/request-budget.js'
import { LogBudget } from './history/log-budget.js'

export interface ScopesDeps {
  shared: SharedBroadcasterDeps
  onBackpressure: () => void
  /** Creates the channels of a tenant, or without a tenant those of operators. */
  createChannels: (tenant: string | undefined) => Channel[]
}

/** The clients of one tenant, or the operators, with the channels that they share. */
export interface Scope {
  readonly tenant: string | undefined
  readonly broadcaster: Broadcaster
  /** For the connections of the scope. */
  readonly connectionDeps: SharedConnectionDeps
  connections: number
}

/** The number of scopes without clients that are kept. Their channels take about 20 MB. */
const MAX_IDLE = 1_000

/**
 * The scopes that have clients. Each has its own channels, offsets and log, so that nothing about one tenant reaches
 * another, not even its number of messages. The logs of all tenants share one limit. The scope of a tenant is created
 * for its first client, and dropped when its last client has left and its log is no longer kept. Of too many scopes
 * without clients, those that have had none for the longest time are dropped.
 */
export class Scopes {
  readonly operators: Scope
  readonly #deps: ScopesDeps
  readonly #budget: LogBudget
  readonly #budgetOwners = new BudgetOwners()
  readonly #tenants = new Map<string, Scope>()
  /** Those without clients, in the order in which the last one left. */
  readonly #idle = new Set<Scope>()

  constructor (deps: ScopesDeps) {
    this.#deps = deps
    this.#budget = new LogBudget(deps.shared.options.history)
    this.operators = this.#create(undefined)
  }

  /** The size of the logs of all scopes together. */
  get logged (): { bytes: number, messages: number } {
    const all = this.operators.broadcaster.log.size
    const { bytes, messages } = this.#budget.size
    return { bytes: all.bytes + bytes, messages: all.messages + messages }
  }

  /** The scope of a new connection. */
  of (tenant: string | undefined): Scope {
    if (tenant === undefined) return this.operators
    const scope = this.#tenants.get(tenant) ?? this.#create(tenant)
    this.#tenants.set(tenant, scope)
    this.#idle.delete(scope)
    return scope
  }

  /** The scope of a tenant, if it has one. */
  find (tenant: string): Scope | undefined {
    return this.#tenants.get(tenant)
  }

  /** The number of connections that are subscribed to a channel. */
  count (channel: ChannelName): number {
    let count = 0
    for (const { broadcaster } of this.#all()) count += broadcaster.subscriptions.count(channel)
    return count
  }

  /** Call when a connection of the scope was closed. */
  left (scope: Scope): void {
    scope.connections--
    if (scope.tenant === undefined || scope.connections > 0) return
    this.#idle.add(scope)
    this.#dropIdle(scope)
    if (this.#idle.size <= MAX_IDLE) return
    const [oldest] = this.#idle
    oldest!.broadcaster.subscriptions.close()
  }

  /** @see Broadcaster.restart */
  restart (epoch: string, cause: GapCause): void {
    for (const { broadcaster } of this.#all()) broadcaster.restart(epoch, cause)
  }

  /** Drops messages that are too old. */
  trim (): void {
    for (const { broadcaster } of this.#all()) broadcaster.trim()
  }

  close (): void {
    for (const { broadcaster } of this.#all()) broadcaster.close()
  }

  * #all (): Generator<Scope> {
    yield this.operators
    yield * this.#tenants.values()
  }

  #create (tenant: string | undefined): Scope {
    const { shared, onBackpressure, createChannels } = this.#deps
    const { clock, metrics, options, scheduler } = shared
    const broadcaster = new Broadcaster({
      ...shared,
      channels: createChannels(tenant),
      budget: tenant === undefined ? undefined : this.#budget,
      onIdle: () => { if (tenant !== undefined) this.#dropIdle(scope) }
    })
    const { log, snapshots, fits } = broadcaster
    const budgetOwners = this.#budgetOwners
    const outboxDeps = { metrics, scheduler, log, snapshots, fits, onBackpressure }
    const connectionDeps = { ...outboxDeps, clock, options, budgetOwners }
    const scope: Scope = { tenant, broadcaster, connectionDeps, connections: 0 }
    return scope
  }

  #dropIdle (scope: Scope): void {
    const { tenant, broadcaster, connections } = scope
    if (tenant === undefined || connections > 0 || !broadcaster.subscriptions.isIdle) return
    if (this.#tenants.get(tenant) === scope) this.#tenants.delete(tenant)
    this.#idle.delete(scope)
    broadcaster.log.close()
  }
}
