import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { MissionInit, MissionQuery, MissionStatus, MissionTotals, MissionView } from '../../schemas/mission.js'
import type { Unsubscribe } from '../base/events.js'
import type { MissionHandlers } from './commands/handlers.js'
import { checkMilliseconds, checkWork } from './input/checks.js'
import { checkFilter } from './input/queries.js'
import type { Mission } from './mission.js'
import type { ListedMission } from './payload/listed-mission.js'
import type { MissionList } from './queries/query.js'
import { subscribeMissions, type SubscribeFilter } from './queries/subscribe.js'
import { waitForMission, type WaitForOptions } from './queries/wait-for.js'
import type { Registration } from './registration.js'
import type { MissionRegistry } from './registry.js'
import { Runner, type MissionWork } from './runner.js'
import type { ReportResult } from './state/lifecycle.js'
import type { MissionState } from './state/mission-state.js'
import type { CancelRequest, CancelResult, MissionOutcome, ReportDetails } from './types.js'

/**
 * Events of `app.missions`. `mission_update` carries what watchers receive; it is built only while somebody listens.
 * `mission_ended` is emitted once per mission, after the update with its ending.
 */
export type MissionEvents = { mission_update: [update: MissionUpdate], mission_ended: [mission: Mission] }

/** The mission registry as the host holds it, `app.missions`. */
export interface Missions<Request = unknown> {
  /**
   * Runs a function as a mission and resolves or rejects as the function does. Returning completes the mission,
   * throwing fails it, throwing after it was asked to end cancels it. A function that ended its mission itself has the
   * last word. An id whose function is running shares that run; the id of a mission from `start` becomes the mission of
   * the function.
   *
   * The function runs in every case. If `start` would throw, its mission is not tracked: it is counted, the first one
   * is logged, and `mission.isTracked` is `false`.
   *
   * @throws FST_MC_INVALID_MISSION if `work` is not a function
   */
  run<T> (init: string | MissionInit, work: MissionWork<T>): Promise<T>
  /**
   * Runs a function as a mission in the background and returns the mission at once. `mission.done` resolves with the
   * outcome; a function that throws causes no unhandled rejection. The function runs in every case, as with `run`.
   *
   * @throws FST_MC_INVALID_MISSION if `work` is not a function
   */
  spawn (init: string | MissionInit, work: MissionWork<unknown>): Mission
  /**
   * Registers a mission whose ending is reported from elsewhere (a webhook, a queue), and reports `planning_started`
   * for it. An active id returns the active mission. An id that has ended stays ended, unless a higher `attempt` or
   * `next` is given; a higher `attempt` than that of an active mission ends it as `superseded`. With `await using`, a
   * mission whose scope is left before it ended becomes an `error`.
   *
   * @throws FST_MC_INVALID_MISSION with the property that has the wrong type
   * @throws FST_MC_INVALID_TIME, FST_MC_INVALID_PARENT
   * @throws FST_MC_MISSION_ENDED for the id of a mission that has ended
   * @throws FST_MC_TENANT_CONFLICT for the id of an active mission of another tenant
   * @throws FST_MC_TOO_MANY_MISSIONS beyond `missions.maxActive`
   * @throws FST_MC_CLOSING after the service has closed; a mission that starts while it closes is asked to end at once
   */
  start (init: string | MissionInit): Mission
  /** The mission whose function is running here, through any `await`; `undefined` outside of `run` and `spawn`. */
  current (): Mission | undefined
  /**
   * Reports a status for an id. An unknown id is registered, with the id as its name if there is no `name`. The id of a
   * mission that has ended, even if it is no longer kept, is registered again only for a higher `attempt` or `next`.
   *
   * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION, FST_MC_INVALID_TIME, FST_MC_INVALID_PARENT,
   * FST_MC_TOO_MANY_MISSIONS, FST_MC_CLOSING
   */
  report (id: string, status: MissionStatus, details?: ReportDetails): ReportResult
  /**
   * Reports that a mission waits, in a queue or for something outside: pauses its stall detection until its next
   * report. An unknown id is registered.
   *
   * @throws what `report` throws
   */
  waiting (id: string, reason: string, details?: ReportDetails): ReportResult
  /**
   * Adds a note to a mission, as `mission.note` does; `unknown` if there is none with this id.
   *
   * @throws FST_MC_INVALID_MISSION for a text that is not a string
   */
  note (id: string, text: string, data?: unknown): ReportResult
  /** The mission with this id, active or ended and still kept. */
  get (id: string): Mission | undefined
  /**
   * Copies of the missions that match, newest first, at most `limit` (1 to 200, 50 by default). Pass `nextCursor` as
   * `cursor` for the next page.
   *
   * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION for a query of the wrong shape
   */
  list (query?: MissionQuery): MissionList
  /** Copies of all missions that are active or still kept, oldest first. */
  views (): MissionView[]
  /** Totals over every mission ever tracked; costs O(1). */
  stats (): MissionTotals
  /** Requests the end of a mission: `requested`, `already_requested`, `terminal` or `not_found`. */
  cancel (id: string, request?: CancelRequest): CancelResult
  /**
   * Follows missions: yields those that match now, then the view of each after every change. Ends when the signal
   * aborts, with the mission if it follows one `id`, and when the service has closed.
   *
   * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION for a filter of the wrong shape
   */
  subscribe (filter?: SubscribeFilter, options?: { signal?: AbortSignal }): AsyncGenerator<MissionView, void, undefined>
  /**
   * Waits for the ending of one mission, or of one of its attempts; one that has ended is answered at once.
   *
   * @throws FST_MC_MISSION_NOT_FOUND, FST_MC_WAIT_TIMEOUT, FST_MC_CLOSING, the reason of `signal`
   */
  waitFor (id: string, options?: WaitForOptions): Promise<MissionOutcome>
  /**
   * Lets clients start and cancel missions. Until it is called, their commands are answered with `unsupported`.
   *
   * @throws FST_MC_INVALID_HANDLER
   */
  handle (handlers: MissionHandlers<Request>): void
  /**
   * Calls `listener` at every event of this name until the returned function is called. Errors of a listener are
   * counted and logged.
   */
  on<Name extends keyof MissionEvents> (event: Name, listener: (...args: MissionEvents[Name]) => unknown): Unsubscribe
}

/**
 * The facade over a registry: its methods need no `this`, and nothing else of the registry can be reached through it.
 */
export function createMissions (registry: MissionRegistry): Missions {
  const { registration } = registry
  const runner = new Runner((mission) => registry.runs(mission))
  const deps = {
    deadlines: registry.deadlines,
    missions: () => registry.index.readAll(),
    find: (id: string) => registry.find(id),
    read: (id: string) => registry.index.read(id),
    isClosed: () => registry.isClosed,
    onChanged: (listener: (mission: ListedMission) => void) => registry.queries.onChanged(listener),
    onClosed: (listener: () => void) => registry.onClosed(listener)
  }
  return {
    run: async (init, work) => await launch(registration, runner, init, work).running,
    spawn (init, work) {
      const { mission, running } = launch(registration, runner, init, work)
      // The outcome is in `mission.done`; an unhandled rejection would end the process.
      running.catch(() => {})
      return mission.handle
    },
    start: (init) => registration.start(init).handle,
    current: () => runner.current?.handle,
    report: (id, status, details = {}) => registration.report(id, status, details),
    waiting: (id, reason, details = {}) => registration.waiting(id, reason, details),
    note: (id, text, data) => registry.find(id)?.handle.note(text, data) ?? { applied: false, reason: 'unknown' },
    get: (id) => registry.find(id)?.handle,
    list: (query = {}) => registry.queries.list(query),
    views: () => Array.from(registry.index.readAll(), (mission) => mission.view()),
    stats: () => registry.queries.totals(),
    cancel: (id, request) => registry.find(id)?.handle.cancel(request) ?? 'not_found',
    subscribe: (filter = {}, { signal } = {}) => subscribeMissions(deps, checkFilter(filter), signal),
    async waitFor (id, { signal, timeoutMs, attempt } = {}) {
      if (timeoutMs !== undefined) checkMilliseconds(timeoutMs, 0)
      return await waitForMission(deps, id, { signal, timeoutMs, attempt })
    },
    handle: (handlers) => registry.commands.use(handlers),
    on: (event, listener) => listen(registry, event, listener as (value: unknown) => unknown)
  }
}

function launch<T> (
  registration: Registration, runner: Runner, init: string | MissionInit, work: MissionWork<T>
): { mission: MissionState, running: Promise<T> } {
  checkWork(work)
  const mission = registration.startOrDetach(init)
  return { mission, running: runner.runningOf<T>(mission) ?? runner.run(mission, work) }
}

function listen (
  { updates }: MissionRegistry, event: keyof MissionEvents, listener: (value: unknown) => unknown
): Unsubscribe {
  if (event === 'mission_update') return updates.onUpdate((update) => listener(update))
  if (event === 'mission_ended') return updates.onEnded((mission) => listener(mission.handle))
  return () => {}
}
