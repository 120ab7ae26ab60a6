import type { CancelKind, MissionQuery } from '../../schemas/mission.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import type { Clock } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { AckGate } from './commands/ack-gate.js'
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
import { findPage, type MissionList } from './queries/query.js'
import { Payloads } from './payload/payload.js'
import { Registration } from './registration.js'
import type { MissionStateDeps } from './state/deps.js'
import type { MissionState } from './state/mission-state.js'
import { Totals, type UntrackedReason } from './totals.js'
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
  /** Creates the logger of one mission. */
  makeLog: (id: string) => MissionLog
}

/**
 * Stores every mission of this process: the only place where missions are counted. All methods that report are
 * synchronous, and a change is complete (mission, times, totals) before it is emitted. Hosts hold the facade
 * `Missions`; channels, routes and commands use this.
 */
export class MissionRegistry {
  readonly totals = new Totals()
  readonly cuts = new CutCounter()
  readonly registration: Registration
  readonly deadlines: DeadlineQueue
  readonly updates: UpdateStream
  readonly commands: Commands
  readonly #missions = new Map<string, MissionState>()
  readonly #lineage = new Lineage((id) => this.find(id))
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
      active: () => this.#active(),
      onStopped: () => { this.#isStopped = true }
    })
    this.registration = this.#createRegistration(deps, payloads, onListenerError)
  }

  get isClosed (): boolean { return this.#isClosed }

  find (id: string): MissionState | undefined {
    return this.#missions.get(id)
  }

  /** All missions that are active or still kept, oldest first. */
  all (): MissionState[] {
    return [...this.#missions.values()]
  }

  /** The active missions whose updates are not held back, oldest first; with `ids` only these, in this order. */
  visible (ids?: readonly string[]): MissionState[] {
    const missions = ids ? [...new Set(ids)].flatMap((id) => this.find(id) ?? []) : this.#missions.values()
    const visible: MissionState[] = []
    for (const mission of missions) if (!mission.isTerminal && !this.isHeld(mission)) visible.push(mission)
    return visible
  }

  /** Whether a mission must stay invisible, because its start command is not acknowledged yet. */
  isHeld (mission: MissionState): boolean {
    return this.#ackGate.isHolding(mission)
  }

  /** @see Missions.list; leaves out what the viewer may not see. */
  list (query: MissionQuery, isVisible: (mission: MissionState) => boolean): MissionList {
    return findPage(this.#missions.values(), checkQuery(query), isVisible)
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

  #active (): MissionState[] {
    return this.all().filter((mission) => !mission.isTerminal)
  }

  #createRegistration (
    { clock, options, makeLog, onUntracked }: MissionRegistryDeps, payloads: Payloads,
    onListenerError: (err: unknown) => void
  ): Registration {
    const { totals, cuts, updates } = this
    const stateDeps: MissionStateDeps<MissionState> = {
      clock,
      totals,
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
      totals,
      maxActive: options.maxActive,
      missions: this.#missions,
      endedIds: this.#endedIds,
      lineage: this.#lineage,
      untracked: new Untracked({ shared: stateDeps, childrenOf: (id) => this.#lineage.childrenOf(id), onUntracked }),
      stateDeps,
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

  #ended (mission: MissionState, { status, durationMs, cancel }: MissionOutcome): void {
    this.totals.ended(status, durationMs, cancel?.kind)
    this.#watchdog.forget(mission)
    this.#lineage.remove(mission)
    if (this.totals.active === 0) this.#shutdown.idle()
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
