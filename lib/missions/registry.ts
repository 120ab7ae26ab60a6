import { MISSION_STATUSES, MissionInit, Progress, type MissionStatus, type MissionTotals, type MissionView } from '../../schemas/mission.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import { createUnifiedId, type Clock } from '../clock.js'
import { InvalidMission, MissionEnded, UnknownStatus } from '../errors.js'
import { Events, type Unsubscribe } from '../events.js'
import { compile, describeFailure } from '../validation.js'
import { Commands, type MissionHandlers } from './commands.js'
import { isMissionStatus, type ReportResult } from './lifecycle.js'
import { Mission, type CancelRequest, type CancelResult, type MissionDetails, type MissionHost, type MissionStep } from './mission.js'
import { Totals } from './totals.js'

/** Events of the registry; the update is what viewers get. */
export interface MissionEvents extends Record<string, unknown[]> { mission_update: [update: MissionUpdate] }

/** Which missions `list` shows: newest first, at most `limit` (1 to 200, 50 if absent). */
export interface MissionFilter { status?: MissionStatus, limit?: number }

export interface MissionsSetup {
  clock: Clock
  onCallbackError: (where: string, err: unknown) => void
}

const validateInit = compile(MissionInit)
const validateId = compile(MissionInit.properties.id)
const validateProgress = compile(Progress)

/**
 * Every mission of this process: the only place where missions are counted. All methods are synchronous, and a change is
 * complete (mission, times, totals) before anybody is told of it.
 */
export class Missions {
  readonly #missions = new Map<string, Mission>()
  readonly #totals = new Totals()
  readonly #events: Events<MissionEvents>
  readonly #commands: Commands
  readonly #host: MissionHost

  constructor ({ clock, onCallbackError }: MissionsSetup) {
    this.#events = new Events((err) => onCallbackError('mission_listener', err))
    this.#commands = new Commands({ clock, onCallbackError, find: (id) => this.#missions.get(id) })
    this.#host = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      checkDetails,
      changed: (mission, step) => this.#tell(mission, step),
      ended: (status, durationMs) => this.#totals.ended(status, durationMs)
    }
  }

  /**
   * Registers a mission and reports `planning_started` for it. An id that is live joins the live mission.
   *
   * @throws FST_MC_INVALID_MISSION with the property that is wrong
   * @throws FST_MC_MISSION_ENDED for the id of a mission that has ended
   */
  start (init: string | MissionInit): Mission {
    const { id = createUnifiedId('mission'), ...rest } = checkInit(typeof init === 'string' ? { name: init } : init)
    const known = this.#missions.get(id)
    if (known?.isTerminal === true) throw new MissionEnded()
    if (known !== undefined) return known
    const mission = this.#register(id, rest)
    mission.report('planning_started')
    return mission
  }

  /**
   * Reports a status for a mission of which the host only holds the id; an unknown id is registered with the id as its name.
   *
   * @throws FST_MC_UNKNOWN_STATUS, FST_MC_INVALID_MISSION
   */
  report (id: string, status: MissionStatus, details: MissionDetails = {}): ReportResult {
    checkDetails(status, details)
    if (!validateId(id)) throw new InvalidMission('the id must be text of 1 to 128 characters')
    const mission = this.#missions.get(id) ?? this.#register(id, { name: id })
    return mission.report(status, details)
  }

  /** The mission with this id, live or ended. */
  get (id: string): Mission | undefined {
    return this.#missions.get(id)
  }

  /** Copies of missions, newest first. */
  list ({ status, limit = 50 }: MissionFilter = {}): MissionView[] {
    if (!Number.isInteger(limit) || limit < 1 || limit > 200) throw new InvalidMission('limit must be a whole number from 1 to 200')
    if (status !== undefined) checkStatus(status)
    const found: MissionView[] = []
    for (const mission of [...this.#missions.values()].reverse()) {
      if (found.length === limit) break
      if (status === undefined || mission.status === status) found.push(mission.view())
    }
    return found
  }

  /** Totals over every mission ever tracked; costs the same however many there are. */
  stats (): MissionTotals {
    return this.#totals.read()
  }

  /** Asks a mission to end. */
  cancel (id: string, request?: CancelRequest): CancelResult {
    return this.#missions.get(id)?.cancel(request) ?? 'not_found'
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

  /** Calls `listener` at every `mission_update` until the returned function is called. A listener that throws hurts nobody else. */
  on<Name extends keyof MissionEvents & string> (event: Name, listener: (...args: MissionEvents[Name]) => unknown): Unsubscribe {
    return this.#events.on(event, listener)
  }

  close (): void {
    this.#events.clear()
  }

  #register (id: string, init: Omit<MissionInit, 'id'>): Mission {
    const mission = new Mission(this.#host, id, init)
    this.#missions.set(id, mission)
    this.#totals.started()
    this.#commands.started(mission)
    return mission
  }

  // A payload that nobody listens to is never built.
  #tell (mission: Mission, step: MissionStep): void {
    if (this.#events.count('mission_update') === 0) return
    const update = mission.update(step)
    this.#commands.whenAcknowledged(mission, () => this.#events.emit('mission_update', update))
  }
}

function checkInit (init: MissionInit): MissionInit {
  if (!validateInit(init)) throw new InvalidMission(describeFailure(validateInit.errors).join('; '))
  return init
}

function checkStatus (status: unknown): asserts status is MissionStatus {
  if (!isMissionStatus(status)) throw new UnknownStatus(MISSION_STATUSES.join(', '))
}

function checkDetails (status: unknown, details: MissionDetails): asserts status is MissionStatus {
  checkStatus(status)
  const { progress } = details
  if (progress === undefined) return
  if (!validateProgress(progress)) throw new InvalidMission(`progress ${describeFailure(validateProgress.errors).join('; ')}`)
  if (progress.index > progress.total) throw new InvalidMission('progress index must not be above total')
}
