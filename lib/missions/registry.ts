import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { AckGate } from './commands/ack-gate.js'
import { Commands } from './commands/commands.js'
import { checkMilliseconds } from './input/checks.js'
import { CutCounter } from './input/cut-counter.js'
import { DeadlineQueue } from './lifetime/deadline-queue.js'
import type { EndedId, EndedIds } from './lifetime/ended-ids.js'
import { RecentById, type RecentByIdDeps } from './lifetime/recent-by-id.js'
import { Retention } from './lifetime/retention.js'
import { Shutdown } from './lifetime/shutdown.js'
import { Transitions } from './transitions/transitions.js'
import { Watchdog } from './lifetime/watchdog.js'
import { Lineage } from './lineage.js'
import { MissionHandle } from './mission-handle.js'
import { MissionQueries } from './queries/mission-queries.js'
import { MissionMeasures, type MissionMeasuresOptions } from './measures/measures.js'
import { Payloads } from './payload/payload.js'
import { Registration } from './registration.js'
import type { MissionStateDeps } from './state/deps.js'
import { Adoption } from './transitions/adoption.js'
import { MissionIndex } from './shared/mission-index.js'
import type { SharedMissions } from './shared/shared-missions.js'
import type { MissionState } from './state/mission-state.js'
import type { SharedMission } from './state/shared/shared-mission.js'
import { MissionGroups } from './tenants/groups.js'
import type { TenantLabels } from './tenants/labels.js'
import type { Totals, UntrackedReason } from './totals.js'
import type { MissionLog } from './types.js'
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
  /** How counts and durations are measured for metrics. */
  measured?: Omit<MissionMeasuresOptions, 'clock'> | undefined
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
  /** The missions by id, those of other processes included. */
  readonly index: MissionIndex
  readonly queries: MissionQueries
  readonly #lineage: Lineage
  readonly #ackGate = new AckGate()
  readonly #transitions: Transitions
  readonly #events: Events<{ closed: [], run: [mission: MissionState] }>
  readonly #watchdog: Watchdog
  readonly #retention: Retention
  readonly #shutdown: Shutdown
  #isStopped = false
  #isClosed = false

  constructor (deps: MissionRegistryDeps) {
    const { clock, options, endedIds, onCallbackError } = deps
    const onListenerError = (err: unknown) => onCallbackError('mission_listener', err)
    const payloads = new Payloads(options, onCallbackError)
    this.groups = new MissionGroups(deps.tenantLabels, undefined, new MissionMeasures({ ...deps.measured, clock }))
    this.index = new MissionIndex({
      adopt: (shared) => adoption.adopt(shared),
      onAdopted: (mission) => { if (mission.isTerminal) this.#transitions.settled(mission) }
    })
    this.#lineage = new Lineage((id) => this.index.read(id), deps.hidesUnknownParents)
    this.#events = new Events(onListenerError)
    this.deadlines = new DeadlineQueue(clock)
    this.commands = new Commands({ ...options, clock, ackGate: this.#ackGate, index: this.index, onCallbackError })
    this.updates = new UpdateStream({
      clock,
      deadlines: this.deadlines,
      payloads,
      ackGate: this.#ackGate,
      minIntervalMs: 1_000 / options.maxProgressPerSecond,
      onListenerError
    })
    const { index, groups, updates } = this
    this.queries = new MissionQueries({ index, groups, updates, ackGate: this.#ackGate })
    this.#watchdog = new Watchdog(options, clock, this.deadlines)
    const ended = new RecentById<EndedId>({ clock, ...endedIds })
    this.#transitions = new Transitions({
      groups: this.groups,
      index: this.index,
      lineage: this.#lineage,
      watchdog: this.#watchdog,
      endedIds: ended,
      retention: () => this.#retention,
      shutdown: () => this.#shutdown
    })
    this.#retention = new Retention(options, {
      clock,
      deadlines: this.deadlines,
      forget: (mission, reason) => {
        this.groups.measures.evicted(reason)
        this.#transitions.forget(mission, clock.monotonic())
      }
    })
    this.#shutdown = new Shutdown({
      clock,
      graceMs: options.closeGraceMs,
      active: () => this.#transitions.bound(),
      onStopped: () => { this.#isStopped = true }
    })
    const stateDeps = this.#createStateDeps(deps, payloads, onListenerError)
    const adoption = new Adoption({ stateDeps, transitions: this.#transitions, lineage: this.#lineage })
    this.registration = this.#createRegistration(deps, stateDeps, ended)
  }

  /** The counts of all missions. */
  get totals (): Totals { return this.groups.all.totals }

  get isClosed (): boolean { return this.#isClosed }

  /** The mission as the host holds it; that of another process becomes a mission here too. */
  find (id: string): MissionState | undefined { return this.index.find(id) }

  /** From now on, the missions are those of all processes. */
  share (shared: SharedMissions): void {
    this.index.share(shared)
  }

  /** A function of this process has become a mission. */
  runs (mission: MissionState): void {
    mission.isRun = true
    if (this.index.shared !== undefined) this.#events.emit('run', mission)
  }

  /** The active children of a mission that have a state in this process. */
  childrenOf (id: string): MissionState[] { return this.#lineage.childrenOf(id) }

  /** Watches a mission of a dead process from now on. */
  inherit (shared: SharedMission): MissionState {
    const mission = this.index.find(shared.id)!
    this.#watchdog.watch(mission)
    this.watchGrace(mission)
    return mission
  }

  /** Forces a mission of this process to end after its grace period, wherever it was asked to. */
  watchGrace (mission: MissionState): void {
    if (mission.isCancelRequested) this.#watchdog.startGrace(mission, mission.cancel!.kind)
  }

  onRun (listener: (mission: MissionState) => void): Unsubscribe { return this.#events.on('run', listener) }

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

  #createStateDeps (
    { clock, makeLog }: MissionRegistryDeps, payloads: Payloads, onListenerError: (err: unknown) => void
  ): MissionStateDeps<MissionState> {
    const { groups, cuts, updates, index } = this
    const transitions = this.#transitions
    return {
      clock,
      totals: (tenant) => groups.totals(tenant),
      cuts,
      payloads,
      updates,
      registry: {
        startChild: (parent, init) => this.registration.startChild(parent, init),
        retry: (mission) => this.registration.retry(mission),
        checkParent: ({ id, parentId }, parent) => this.#lineage.check(id, parentId, parent),
        linked: (...link) => transitions.linked(...link),
        cancelRequested: (...request) => transitions.cancelRequested(...request),
        ended: (...ending) => transitions.ended(...ending),
        endedElsewhere: (...ending) => transitions.endedElsewhere(...ending),
        settled: (mission) => transitions.settled(mission),
        extendTimeout: (mission, ms) => this.#watchdog.setTimeout(mission, checkMilliseconds(ms)),
        isClosed: () => this.#isClosed,
        onClosed: (listener) => this.onClosed(listener),
        isShared: () => index.shared !== undefined,
        forwardCancel: (...asked) => transitions.forwardCancel(...asked),
        isOwnedElsewhere: (mission) => index.shared?.isOwnedElsewhere(mission) === true
      },
      createHandle: (mission) => new MissionHandle(mission),
      makeLog,
      onListenerError
    }
  }

  #createRegistration (
    { clock, options, onUntracked }: MissionRegistryDeps, stateDeps: MissionStateDeps<MissionState>,
    endedIds: EndedIds
  ): Registration {
    const { groups, cuts } = this
    return new Registration({
      clock,
      cuts,
      groups,
      maxActive: options.maxActive,
      index: this.index,
      endedIds,
      lineage: this.#lineage,
      untracked: new Untracked({ shared: stateDeps, childrenOf: (id) => this.#lineage.childrenOf(id), onUntracked }),
      stateDeps,
      callerTenant: () => this.#ackGate.tenant,
      isStopped: () => this.#isStopped,
      onRegistered: (mission, previous) => {
        this.#watchdog.watch(mission)
        this.#ackGate.registered(mission, previous)
        // It is no longer a mission of its own, and must not take the place of one.
        if (previous !== undefined) this.#retention.drop(previous)
      },
      onStarted: (mission) => this.#shutdown.include(mission)
    })
  }
}
