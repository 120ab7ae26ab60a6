import type { CancelKind, MissionQuery, MissionView } from '../../schemas/mission.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { AckGate } from './commands/ack-gate.js'
import type { Caller } from './commands/caller.js'
import { Commands } from './commands/commands.js'
import { checkMilliseconds } from './input/checks.js'
import { CutCounter } from './input/cut-counter.js'
import { checkQuery } from './input/queries.js'
import { DeadlineQueue } from './lifetime/deadline-queue.js'
import type { EndedIds } from './lifetime/ended-ids.js'
import { RecentById, type RecentByIdDeps } from './lifetime/recent-by-id.js'
import { Retention } from './lifetime/retention.js'
import { Shutdown } from './lifetime/shutdown.js'
import { Watchdog } from './lifetime/watchdog.js'
import { Lineage } from './lineage.js'
import { MissionHandle } from './mission-handle.js'
import { findPage, viewFor, type MissionList } from './queries/query.js'
import { Payloads } from './payload/payload.js'
import { Registration } from './registration.js'
import type { MissionStateDeps } from './state/deps.js'
import type { MissionState } from './state/mission-state.js'
import { MissionGroups } from './tenants/groups.js'
import type { TenantLabels } from './tenants/labels.js'
import type { Totals, UntrackedReason } from './totals.js'
import type { MissionLog, MissionOutcome } from './types.js'
import { Untracked } from './untracked.js'
import { UpdateStream } from './updates/update-stream.js'

export interface MissionRegistryDeps {
  clock: Clock
  options: ResolvedOptions['missions']
  /** How many ids of ended missions are remembered, and for how long in ms. */
  endedIds: Omit<RecentByIdDeps, 'clock'>
  onCallbackError: (where: string, err: unknown) => void
  /** A function runs without a tracked mission, for the first time for this reason. */
  onUntracked: (reason: UntrackedReason, err: unknown) => void
  /** Names tenants in metrics. */
  tenantLabels?: TenantLabels | undefined
  /** Whether the id of an unknown parent is hidden from tenants, because it may belong to another tenant. */
  hidesUnknownParents?: boolean
  /** Creates the logger of one mission. */
  makeLog: (id: string) => MissionLog
}

/**
 * Stores every mission of this process: the only place where missions are counted. All methods that report are
 * synchronous, and a change is complete (mission, times, totals) before it is emitted. Hosts hold the facade
 * `Missions`; channels, routes and commands use this.
 */
export class MissionRegistry {
  /** The active missions and the counts, by tenant. */
  readonly groups: MissionGroups
  readonly cuts = new CutCounter()
  readonly registration: Registration
  readonly deadlines: DeadlineQueue
  readonly updates: UpdateStream
  readonly commands: Commands
  readonly #missions = new Map<string, MissionState>()
  readonly #lineage: Lineage
  readonly #endedIds: EndedIds
  readonly #ackGate = new AckGate()
  readonly #events: Events<{ closed: [] }>
  readonly #watchdog: Watchdog
  readonly #retention: Retention
  readonly #shutdown: Shutdown
  #isStopped = false
  #isClosed = false

  constructor (deps: MissionRegistryDeps) {
    const { clock, options, endedIds, onCallbackError } = deps
    const onListenerError = (err: unknown) => onCallbackError('mission_listener', err)
    const payloads = new Payloads(options, onCallbackError)
    this.groups = new MissionGroups(deps.tenantLabels)
    this.#lineage = new Lineage((id) => this.find(id), deps.hidesUnknownParents)
    this.#events = new Events(onListenerError)
    this.#endedIds = new RecentById({ clock, ...endedIds })
    this.deadlines = new DeadlineQueue(clock)
    this.commands = new Commands({ clock, ackGate: this.#ackGate, find: (id) => this.find(id), onCallbackError })
    this.updates = new UpdateStream({
      clock,
      deadlines: this.deadlines,
      payloads,
      ackGate: this.#ackGate,
      minIntervalMs: 1_000 / options.maxProgressPerSecond,
      onListenerError
    })
    this.#watchdog = new Watchdog(options, clock, this.deadlines)
    const forget = (mission: MissionState) => this.#forget(mission, clock.monotonic())
    this.#retention = new Retention(options, { clock, deadlines: this.deadlines, forget })
    this.#shutdown = new Shutdown({
      clock,
      graceMs: options.closeGraceMs,
      active: () => [...this.groups.active()],
      onStopped: () => { this.#isStopped = true }
    })
    this.registration = this.#createRegistration(deps, payloads, onListenerError)
  }

  /** The counts of all missions. */
  get totals (): Totals { return this.groups.all.totals }

  get isClosed (): boolean { return this.#isClosed }

  find (id: string): MissionState | undefined {
    return this.#missions.get(id)
  }

  /** The mission with this id, if it is of this tenant; without a tenant, any mission with this id. */
  findIn (tenant: string | undefined, id: string): MissionState | undefined {
    const mission = this.#missions.get(id)
    return tenant === undefined || mission?.tenant === tenant ? mission : undefined
  }

  /** All missions that are active or still kept, oldest first. */
  all (): MissionState[] {
    return [...this.#missions.values()]
  }

  /**
   * The active missions of a tenant, or of everybody, whose updates are not held back, oldest first; with `ids` only
   * these, in this order.
   */
  visible (tenant?: string, ids?: readonly string[]): MissionState[] {
    const missions = ids === undefined
      ? this.groups.active(tenant)
      : [...new Set(ids)].flatMap((id) => this.findIn(tenant, id) ?? [])
    const visible: MissionState[] = []
    for (const mission of missions) if (!mission.isTerminal && !this.isHeld(mission)) visible.push(mission)
    return visible
  }

  /** Whether a mission must stay invisible, because its start command is not acknowledged yet. */
  isHeld (mission: MissionState): boolean {
    return this.#ackGate.isHolding(mission)
  }

  /** @see Missions.list; for a caller, what they may see. */
  list (query: MissionQuery, caller?: Caller): MissionList {
    return findPage(this.#missions.values(), checkQuery(query), caller)
  }

  /** What a caller may see of one mission. */
  viewFor (caller: Caller, id: string): MissionView | undefined {
    const mission = this.find(id)
    return mission === undefined || !caller.may('see', mission.subject) ? undefined : viewFor(caller, mission)
  }

  /** Calls `listener` once the registry is closed. */
  onClosed (listener: () => void): Unsubscribe {
    return this.#events.on('closed', listener)
  }

  /**
   * Asks every active mission to end and resolves when all have; missions that have not ended after the close grace are
   * forced to. No mission can be started afterwards.
   */
  async shutdown (): Promise<void> {
    await this.#shutdown.run()
  }

  /** Stops all timers, removes all listeners and ends all subscriptions. Reports are still counted. */
  close (): void {
    this.#isStopped = this.#isClosed = true
    this.deadlines.close()
    this.updates.close()
    this.#events.emit('closed')
    this.#events.clear()
    this.#shutdown.close()
  }

  #createRegistration (
    { clock, options, makeLog, onUntracked }: MissionRegistryDeps, payloads: Payloads,
    onListenerError: (err: unknown) => void
  ): Registration {
    const { groups, cuts, updates } = this
    const stateDeps: MissionStateDeps<MissionState> = {
      clock,
      totals: (tenant) => groups.totals(tenant),
      cuts,
      payloads,
      updates,
      registry: {
        startChild: (parent, init) => this.registration.startChild(parent, init),
        retry: (mission) => this.registration.retry(mission),
        checkParent: ({ id, parentId }, parent) => this.#lineage.check(id, parentId, parent),
        linked: (mission, parentId) => this.#linked(mission, parentId),
        cancelRequested: (mission, kind) => this.#cancelRequested(mission, kind),
        ended: (mission, outcome) => this.#ended(mission, outcome),
        settled: (mission) => this.#settled(mission),
        extendTimeout: (mission, ms) => this.#watchdog.setTimeout(mission, checkMilliseconds(ms))
      },
      createHandle: (mission) => new MissionHandle(mission),
      makeLog,
      onListenerError
    }
    return new Registration({
      clock,
      cuts,
      groups,
      maxActive: options.maxActive,
      missions: this.#missions,
      endedIds: this.#endedIds,
      lineage: this.#lineage,
      untracked: new Untracked({ shared: stateDeps, childrenOf: (id) => this.#lineage.childrenOf(id), onUntracked }),
      stateDeps,
      callerTenant: () => this.#ackGate.tenant,
      isStopped: () => this.#isStopped,
      onRegistered: (mission, previous) => {
        this.#watchdog.watch(mission, mission.timeoutMs ?? options.timeoutMs)
        this.#ackGate.registered(mission, previous)
        // It is no longer a mission of its own, and must not take the place of one.
        if (previous !== undefined) this.#retention.drop(previous)
      },
      onStarted: (mission) => this.#shutdown.include(mission)
    })
  }

  #linked (mission: MissionState, parentId: string): boolean {
    this.#lineage.add(mission, parentId)
    return this.#lineage.isCancelled(parentId)
  }

  #cancelRequested (mission: MissionState, kind: CancelKind): MissionState[] {
    this.#watchdog.startGrace(mission, kind)
    return this.#lineage.childrenOf(mission.id)
  }

  #ended (mission: MissionState, outcome: MissionOutcome): void {
    this.groups.ended(mission, outcome)
    this.#watchdog.forget(mission)
    this.#lineage.remove(mission)
    if (this.groups.active().size === 0) this.#shutdown.idle()
  }

  // Not if a listener of its ending has started a newer attempt.
  #settled (mission: MissionState): void {
    if (this.find(mission.id) === mission) this.#retention.put(mission, mission.outcome!.status)
  }

  #forget ({ id, attempt, seq, ended, outcome }: MissionState, at: number): void {
    this.#missions.delete(id)
    this.#endedIds.put({ id, attempt, seq, ended, status: outcome!.status, at })
  }
}
