import type { CancelKind, MissionInit, MissionQuery, MissionStatus } from '../../schemas/mission.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { createUnifiedId, type Clock } from '../base/clock.js'
import { Closing, MissionEnded, TooManyMissions } from '../base/errors.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { AckGate } from './commands/ack-gate.js'
import { Commands } from './commands/commands.js'
import { checkId, checkMilliseconds } from './input/checks.js'
import { readDetails } from './input/details.js'
import { readInit } from './input/init.js'
import { checkQuery } from './input/queries.js'
import { DeadlineQueue } from './lifetime/deadline-queue.js'
import { Retention } from './lifetime/retention.js'
import { Shutdown } from './lifetime/shutdown.js'
import { Watchdog } from './lifetime/watchdog.js'
import { MissionHandle } from './mission-handle.js'
import { findPage, type MissionList } from './queries/query.js'
import type { ReportResult } from './state/lifecycle.js'
import { MissionState, type MissionStateDeps } from './state/mission-state.js'
import { Totals } from './totals.js'
import type { MissionDetails, MissionLog, MissionOutcome } from './types.js'
import { Payloads } from './payload/payload.js'
import { UpdateStream } from './updates/update-stream.js'

export interface MissionRegistryDeps {
  clock: Clock
  options: ResolvedOptions['missions']
  onCallbackError: (where: string, err: unknown) => void
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
  readonly deadlines: DeadlineQueue
  readonly updates: UpdateStream
  readonly commands: Commands
  readonly #options: ResolvedOptions['missions']
  readonly #missions = new Map<string, MissionState>()
  readonly #children = new Map<MissionState, Set<MissionState>>()
  readonly #ackGate = new AckGate()
  readonly #events: Events<{ closed: [] }>
  readonly #watchdog: Watchdog
  readonly #retention: Retention
  readonly #shutdown: Shutdown
  readonly #stateDeps: MissionStateDeps
  #started = 0
  #isStopped = false
  #isClosed = false

  constructor ({ clock, options, onCallbackError, makeLog }: MissionRegistryDeps) {
    const onListenerError = (err: unknown) => onCallbackError('mission_listener', err)
    const payloads = new Payloads(options, onCallbackError)
    this.#options = options
    this.#events = new Events(onListenerError)
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
    const forget = ({ id }: MissionState) => { this.#missions.delete(id) }
    this.#retention = new Retention(options, { clock, deadlines: this.deadlines, forget })
    this.#shutdown = new Shutdown({
      deadlines: this.deadlines,
      graceMs: options.closeGraceMs,
      active: () => this.#active(),
      onStopped: () => { this.#isStopped = true }
    })
    this.#stateDeps = {
      clock,
      totals: this.totals,
      payloads,
      updates: this.updates,
      registry: {
        startChild: (parent, init) => this.#start(init, parent),
        cancelRequested: (mission, kind) => this.#cancelRequested(mission, kind),
        ended: (mission, outcome) => this.#ended(mission, outcome),
        extendTimeout: (mission, ms) => this.#watchdog.setTimeout(mission, checkMilliseconds(ms))
      },
      createHandle: (mission) => new MissionHandle(mission),
      makeLog,
      onListenerError
    }
  }

  /** How many missions were ever started. */
  get started (): number { return this.#started }

  get isClosed (): boolean { return this.#isClosed }

  /** @see Missions.start */
  start (init: string | MissionInit): MissionState {
    return this.#start(init, null)
  }

  /** @see Missions.report */
  report (id: string, status: MissionStatus, details: MissionDetails): ReportResult {
    const known = this.#missions.get(id)
    const checked = readDetails(status, details)
    if (known !== undefined) return known.report(status, checked)
    // Checked before the mission is registered: a report that is refused leaves nothing behind.
    checkId(id)
    const mission = this.#register(id, { name: id }, null)
    const result = mission.report(status, checked)
    this.#shutdown.include(mission)
    return result
  }

  find (id: string): MissionState | undefined {
    return this.#missions.get(id)
  }

  /** All missions that are active or still kept, oldest first. */
  all (): MissionState[] {
    return [...this.#missions.values()]
  }

  /** The active missions whose updates are not held back, oldest first. */
  visible (): MissionState[] {
    return this.#active().filter((mission) => !this.isHeld(mission))
  }

  /** Whether a mission must stay invisible, because its start command is not acknowledged yet. */
  isHeld (mission: MissionState): boolean {
    return this.#ackGate.isHolding(mission)
  }

  /** @see Missions.list; leaves out what the viewer may not see. */
  list (query: MissionQuery, isVisible: (mission: MissionState) => boolean): MissionList {
    checkQuery(query)
    return findPage(this.#missions.values(), query, isVisible)
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

  #start (init: string | Omit<MissionInit, 'id'>, parent: MissionState | null): MissionState {
    const { id = createUnifiedId('mission'), ...rest } = readInit(init)
    const known = this.#missions.get(id)
    if (known?.isTerminal === true) throw new MissionEnded()
    if (known !== undefined) return known
    const mission = this.#register(id, rest, parent)
    mission.report('planning_started', {})
    if (parent?.isCancelRequested === true) mission.requestCancel('parent')
    this.#shutdown.include(mission)
    return mission
  }

  #register (id: string, init: Omit<MissionInit, 'id'>, parent: MissionState | null): MissionState {
    const { maxActive, timeoutMs } = this.#options
    if (this.#isStopped) throw new Closing()
    if (this.totals.active >= maxActive) {
      this.totals.refused()
      throw new TooManyMissions(maxActive)
    }
    const number = ++this.#started
    const mission = new MissionState(this.#stateDeps, { id, number, parentId: parent?.id ?? null, init })
    // Reading the objective and the metadata ran code of the host, which may have started this very mission.
    const meanwhile = this.#missions.get(id)
    if (meanwhile !== undefined) return meanwhile
    this.#missions.set(id, mission)
    this.totals.started()
    this.#watchdog.watch(mission, init.timeoutMs ?? timeoutMs)
    if (parent !== null && !parent.isTerminal) this.#addChild(parent, mission)
    this.#ackGate.registered(mission)
    return mission
  }

  #addChild (parent: MissionState, child: MissionState): void {
    const children = this.#children.get(parent) ?? new Set()
    this.#children.set(parent, children.add(child))
  }

  #cancelRequested (mission: MissionState, kind: CancelKind): MissionState[] {
    this.#watchdog.startGrace(mission, kind)
    return [...this.#children.get(mission) ?? []]
  }

  #ended (mission: MissionState, { status, durationMs }: MissionOutcome): void {
    this.totals.ended(status, durationMs)
    this.#watchdog.forget(mission)
    this.#removeChild(mission)
    this.#retention.put(mission, status)
    if (this.totals.active === 0) this.#shutdown.idle()
  }

  // A parent may live much longer than its children, and have many.
  #removeChild (mission: MissionState): void {
    this.#children.delete(mission)
    const parent = mission.parentId === null ? undefined : this.#missions.get(mission.parentId)
    if (parent !== undefined) this.#children.get(parent)?.delete(mission)
  }
}
