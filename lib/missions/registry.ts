import type { CancelKind, MissionInit, MissionQuery, MissionStatus, MissionTotals, MissionView } from '../../schemas/mission.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { createUnifiedId, type Clock } from '../base/clock.js'
import { Closing, MissionEnded, MissionLive, TooManyMissions } from '../base/errors.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { checkFilter, checkId, checkInit, checkMilliseconds, checkObject, checkQuery, checkWork, readDetails } from './input.js'
import { Commands } from './commands/commands.js'
import { DeadlineQueue } from './lifetime/deadline-queue.js'
import type { CancelRequest, CancelResult, MissionDetails, MissionLog, MissionOutcome } from './types.js'
import { ProgressThrottle } from './updates/progress-throttle.js'
import type { MissionHandlers } from './commands/handlers.js'
import { OrderedDelivery } from './updates/ordered-delivery.js'
import { isTerminal, type ReportResult } from './lifecycle.js'
import { Mission, type MissionHost } from './mission.js'
import { Payloads } from './updates/payload.js'
import { findPage } from './queries/query.js'
import { Retention } from './lifetime/retention.js'
import { Runner, type MissionWork } from './runner.js'
import { Tasks } from './tasks.js'
import { Totals } from './totals.js'
import { waitForMission, subscribeMissions, type WaitForOptions, type SubscribeFilter, type SubscribeDeps } from './queries/subscribe.js'
import { Watchdog } from './lifetime/watchdog.js'

/**
 * Events of the registry. `mission_update` is what viewers get; it is built only while somebody listens. `mission_ended` comes once a mission, after
 * the update that tells of it.
 */
export type MissionEvents = { mission_update: [update: MissionUpdate], mission_ended: [mission: Mission] }

/** What is told next: an update, or, while nobody listens to those, that a mission has ended. */
interface Telling { mission: Mission, update: MissionUpdate | undefined }

/** One page of missions, newest first; `nextCursor` asks for the next page and is `null` on the last one. */
export type MissionList = MissionView[] & { nextCursor: string | null }

export interface MissionRegistryDeps {
  clock: Clock
  options: ResolvedOptions['missions']
  onCallbackError: (where: string, err: unknown) => void
  /** Makes the logger of one mission. */
  makeLog: (id: string) => MissionLog
}

const SHUTDOWN = { reason: 'The service is closing' }

/**
 * Every mission of this process: the only place where missions are counted. All methods that report are synchronous, and a
 * change is complete (mission, times, totals) before anybody is told of it.
 */
export class Missions {
  readonly #options: ResolvedOptions['missions']
  readonly #missions = new Map<string, Mission>()
  readonly #children = new Map<Mission, Set<Mission>>()
  readonly #totals = new Totals()
  readonly #events: Events<MissionEvents>
  readonly #changes: Events<{ changed: [mission: Mission], closed: [] }>
  readonly #outgoing: OrderedDelivery<Telling>
  readonly #deadlines: DeadlineQueue
  readonly #watchdog: Watchdog
  readonly #retention: Retention
  readonly #feed: ProgressThrottle
  readonly #commands: Commands
  readonly #runner = new Runner()
  readonly #host: MissionHost
  #started = 0
  #whenIdle: (() => void) | undefined
  #shutdown: Promise<void> | undefined
  #isOver = false
  #isClosed = false

  constructor ({ clock, options, onCallbackError, makeLog }: MissionRegistryDeps) {
    this.#options = options
    this.#events = new Events((err) => onCallbackError('mission_listener', err))
    this.#changes = new Events((err) => onCallbackError('mission_watcher', err))
    this.#outgoing = new OrderedDelivery(({ mission, update }) => {
      if (update !== undefined) this.#events.emit('mission_update', update)
      if (update === undefined || isTerminal(update.status)) this.#events.emit('mission_ended', mission)
    })
    this.#deadlines = new DeadlineQueue(clock)
    this.#watchdog = new Watchdog(options, clock, this.#deadlines)
    this.#retention = new Retention(options, { clock, deadlines: this.#deadlines, forget: (mission) => this.#forget(mission) })
    this.#commands = new Commands({ clock, onCallbackError, find: (id) => this.#missions.get(id) })
    const payloads = new Payloads(options, onCallbackError)
    this.#feed = new ProgressThrottle({
      clock,
      deadlines: this.#deadlines,
      minIntervalMs: 1_000 / options.maxProgressPerSecond,
      // What is told only after an ack may have listeners by then.
      hasListeners: (mission) => this.#events.count('mission_update') > 0 || this.#commands.isAwaitingAck(mission),
      makeUpdate: (mission, step) => payloads.update(mission, step),
      emit: (mission, update) => this.#commands.whenAcknowledged(mission, () => this.#outgoing.deliver({ mission, update })),
      ended: (mission) => this.#outgoing.deliver({ mission, update: undefined })
    })
    this.#host = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      readDetails,
      readError: (thrown) => payloads.error(thrown),
      // What nobody sees is not serialized.
      showDetails: (details) => this.#events.count('mission_update') === 0 ? {} : payloads.details(details),
      callListener: (call) => {
        try {
          call()
        } catch (err) {
          onCallbackError('mission_listener', err)
        }
      },
      readObjective: (objective) => payloads.objective(objective),
      mergeMetadata: (known, added) => payloads.metadata(known, added),
      makeTasks: () => new Tasks(options.maxTasks),
      makeLog,
      ending: (mission) => this.#feed.flush(mission),
      changed: (mission, step, isSoft) => {
        this.#feed.tell(mission, step, isSoft)
        this.#changes.emit('changed', mission)
      },
      cancelRequested: (mission, kind) => this.#cancelRequested(mission, kind),
      stalled: (isStalled) => this.#totals.stalled(isStalled),
      ended: (mission, outcome) => this.#ended(mission, outcome),
      endedLate: () => this.#totals.lateOutcome(),
      extendTimeout: (mission, ms) => this.#watchdog.setTimeout(mission, checkMilliseconds(ms)),
      startChild: (mission, init) => this.#start(init, mission)
    }
  }

  /**
   * Registers a mission whose ending is reported from elsewhere (a webhook, a queue) and reports `planning_started` for it.
   * An id that is live joins the live mission. With `await using`, a mission whose scope is left without an ending becomes an error.
   *
   * @throws FST_MC_INVALID_MISSION with the property that is wrong
   * @throws FST_MC_MISSION_ENDED for the id of a mission that has ended
   * @throws FST_MC_TOO_MANY_MISSIONS beyond `missions.maxActive`
   * @throws FST_MC_CLOSING once the service has closed; one that starts while it closes is asked to end at once
   */
  start (init: string | MissionInit): Mission {
    return this.#start(init, null)
  }

  /**
   * Runs a function as a mission and gives or throws what the function did. Returning completes the mission, throwing fails it, throwing
   * after it was asked to end cancels it; a function that ended its mission itself has the last word. An id that is already running
   * gives the outcome of that run.
   *
   * @throws what `start` throws; FST_MC_MISSION_LIVE for a live id that no function runs; FST_MC_MISSION_ENDED if a listener ended it at its start
   */
  async run<T> (init: string | MissionInit, work: MissionWork<T>): Promise<T> {
    return await this.#launch(init, work).running
  }

  /** The same in the background: gives the mission at once. `mission.done` settles with the outcome; nothing is ever left unhandled. */
  spawn (init: string | MissionInit, work: MissionWork<unknown>): Mission {
    const { mission, running } = this.#launch(init, work)
    // The outcome is in `mission.done`; a rejection that nobody waits for would end the process.
    running.catch(() => {})
    return mission
  }

  /** The mission whose function is running here, through any `await`; `undefined` outside of `run` and `spawn`. */
  current (): Mission | undefined {
    return this.#runner.current
  }

  /**
   * Reports a status for a mission of which the host only holds the id; an unknown id is registered with the id as its name.
   *
   * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION, FST_MC_TOO_MANY_MISSIONS, FST_MC_CLOSING
   */
  report (id: string, status: MissionStatus, details: MissionDetails = {}): ReportResult {
    const known = this.#missions.get(id)
    if (known !== undefined) return known.report(status, details)
    // Checked before the mission is made: a report that is refused leaves nothing behind.
    const checked = readDetails(status, details)
    checkId(id)
    const mission = this.#register(id, { name: id }, null)
    const result = mission.report(status, checked)
    this.#endIfClosing(mission)
    return result
  }

  /** The mission with this id, live or ended and still kept. */
  get (id: string): Mission | undefined {
    return this.#missions.get(id)
  }

  /**
   * Copies of the missions that fit, newest first, at most `limit` (1 to 200, 50 if absent). `nextCursor` on the array asks for the next page.
   *
   * @throws FST_MC_INVALID_MISSION for a query of the wrong shape
   */
  list (query: MissionQuery = {}): MissionList {
    return this.listVisible(query, () => true)
  }

  /** @see list; leaves out what the viewer may not see. */
  listVisible (query: MissionQuery, isVisible: (mission: Mission) => boolean): MissionList {
    checkQuery(query)
    const { missions, nextCursor } = findPage(this.#missions.values(), query, isVisible)
    return Object.assign(missions, { nextCursor })
  }

  /** Copies of all missions that are active or still kept, oldest first. */
  views (): MissionView[] {
    return Array.from(this.#missions.values(), (mission) => mission.view())
  }

  /** The missions that have not ended and that may be told of, oldest first; for the hub, not for the host. */
  visible (): Mission[] {
    return this.#active().filter((mission) => !this.#commands.isAwaitingAck(mission))
  }

  /** Totals over every mission ever tracked; costs the same however many there are. */
  stats (): MissionTotals {
    return this.#totals.read()
  }

  /** Asks a mission to end: `requested`, `already_requested`, `terminal` or `not_found`. */
  cancel (id: string, request?: CancelRequest): CancelResult {
    return this.#missions.get(id)?.cancel(request) ?? 'not_found'
  }

  /**
   * Follows missions: those that fit now, then every change. Ends when the signal aborts, with the mission if it follows one `id`, and
   * when the service has closed.
   *
   * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION for a filter of the wrong shape
   */
  subscribe (watched: SubscribeFilter = {}, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<MissionView, void, undefined> {
    checkObject(watched, 'the filter')
    const { id, ...filter } = watched
    checkFilter(filter)
    return subscribeMissions(this.#watchSetup(), { id, ...filter }, signal)
  }

  /**
   * Waits for the ending of one mission; one that has ended answers at once.
   *
   * @throws FST_MC_MISSION_NOT_FOUND, FST_MC_WAIT_TIMEOUT, FST_MC_CLOSING, the reason of `signal`
   */
  async waitFor (id: string, { signal, timeoutMs }: WaitForOptions = {}): Promise<MissionOutcome> {
    if (timeoutMs !== undefined) checkMilliseconds(timeoutMs, 0)
    return await waitForMission(this.#watchSetup(), id, { signal, timeoutMs })
  }

  /**
   * Lets clients start and cancel missions. Until it is called they get `unsupported`.
   *
   * @throws FST_MC_INVALID_HANDLER
   */
  handle (handlers: MissionHandlers): void {
    this.#commands.use(handlers)
  }

  /** The door for commands of clients; the hub's, not the host's. */
  get commands (): Commands { return this.#commands }

  /** Calls `listener` at every event of this name until the returned function is called. A listener that throws hurts nobody else. */
  on<Name extends keyof MissionEvents> (event: Name, listener: (...args: MissionEvents[Name]) => unknown): Unsubscribe {
    return this.#events.on(event, listener)
  }

  /**
   * Asks every active mission to end and resolves when all have; what has not ended after the close grace is forced to. Afterwards no
   * mission can be started.
   */
  async shutdown (): Promise<void> {
    await (this.#shutdown ??= this.#endAll())
  }

  /** Stops all timers and takes all listeners off; whoever still follows missions comes to an end. Reports are still counted. */
  close (): void {
    this.#isOver = this.#isClosed = true
    this.#deadlines.close()
    this.#feed.close()
    this.#events.clear()
    this.#changes.emit('closed')
    this.#changes.clear()
    // A shutdown that still waits would wait for ever: there is no timer any more that ends its grace.
    this.#whenIdle?.()
  }

  #active (): Mission[] {
    return [...this.#missions.values()].filter((mission) => !mission.isTerminal)
  }

  #start (init: string | Omit<MissionInit, 'id'>, parent: Mission | null): Mission {
    const { id = createUnifiedId('mission'), ...rest } = checkInit(init)
    const known = this.#missions.get(id)
    if (known?.isTerminal === true) throw new MissionEnded()
    if (known !== undefined) return known
    const mission = this.#register(id, rest, parent)
    mission.report('planning_started')
    if (parent?.cancelState != null) mission.requestCancel('parent')
    this.#endIfClosing(mission)
    return mission
  }

  #launch<T> (init: string | MissionInit, work: MissionWork<T>): { mission: Mission, running: Promise<T> } {
    checkWork(work)
    const before = this.#started
    const mission = this.start(init)
    const running = this.#runner.runningOf<T>(mission)
    if (running !== undefined) return { mission, running }
    if (this.#started === before) throw new MissionLive()
    // A listener that heard of its start may have ended it: there is nothing to run any more.
    if (mission.isTerminal) return { mission, running: Promise.reject(new MissionEnded()) }
    return { mission, running: this.#runner.run(mission, work) }
  }

  #register (id: string, init: Omit<MissionInit, 'id'>, parent: Mission | null): Mission {
    const { maxActive } = this.#options
    if (this.#isOver) throw new Closing()
    if (this.#totals.active >= maxActive) {
      this.#totals.refused()
      throw new TooManyMissions(maxActive)
    }
    const mission = new Mission(this.#host, { id, number: ++this.#started, parentId: parent?.id ?? null, init })
    // Reading the objective and the metadata ran code of the host, which may have started this very mission.
    const meanwhile = this.#missions.get(id)
    if (meanwhile !== undefined) return meanwhile
    this.#missions.set(id, mission)
    this.#totals.started()
    this.#watchdog.watch(mission, init.timeoutMs ?? this.#options.timeoutMs)
    if (parent !== null) this.#adopt(parent, mission)
    this.#commands.started(mission)
    return mission
  }

  #adopt (parent: Mission, child: Mission): void {
    if (parent.isTerminal) return
    const children = this.#children.get(parent) ?? new Set()
    this.#children.set(parent, children.add(child))
  }

  #cancelRequested (mission: Mission, kind: CancelKind): Mission[] {
    this.#watchdog.startGrace(mission, kind)
    return [...this.#children.get(mission) ?? []]
  }

  #ended (mission: Mission, { status, durationMs }: MissionOutcome): void {
    this.#totals.ended(status, durationMs)
    this.#watchdog.forget(mission)
    this.#orphan(mission)
    this.#retention.put(mission, status)
    if (this.#totals.active === 0) this.#whenIdle?.()
  }

  // A parent may live much longer than its children, and have many.
  #orphan (mission: Mission): void {
    this.#children.delete(mission)
    const parent = mission.parentId === null ? undefined : this.#missions.get(mission.parentId)
    if (parent !== undefined) this.#children.get(parent)?.delete(mission)
  }

  async #endAll (): Promise<void> {
    // Newest first: a child would otherwise only hear that its parent was asked to end.
    for (const mission of this.#active().reverse()) mission.requestCancel('shutdown', SHUTDOWN)
    if (this.#totals.active > 0 && !this.#isClosed) await this.#idleOrGrace()
    // From here on none can start, so that what is ended here is not replaced by the host.
    this.#isOver = true
    for (const mission of this.#active()) mission.force()
  }

  async #idleOrGrace (): Promise<void> {
    await new Promise<void>((resolve) => {
      const grace = this.#deadlines.after(this.#options.closeGraceMs, resolve)
      this.#whenIdle = () => {
        grace.cancel()
        resolve()
      }
    })
  }

  #endIfClosing (mission: Mission): void {
    if (this.#shutdown !== undefined) mission.requestCancel('shutdown', SHUTDOWN)
  }

  #watchSetup (): SubscribeDeps {
    return {
      deadlines: this.#deadlines,
      missions: () => [...this.#missions.values()],
      find: (id) => this.#missions.get(id),
      isClosed: () => this.#isClosed,
      onChange: (listener) => this.#changes.on('changed', listener),
      onClose: (listener) => this.#changes.on('closed', listener)
    }
  }

  #forget (mission: Mission): void {
    this.#missions.delete(mission.id)
  }
}
