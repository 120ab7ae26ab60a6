import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../clock.js'
import { InvalidHandler } from '../errors.js'
import type { Mission } from './mission.js'

/** Who sent a command: `request` is the Fastify request that opened the connection, with all that the host's hooks put on it. */
export interface CommandContext { request: unknown, connectionId: string }

/** What a host gives so that clients may start or cancel missions. Both are off until given. */
export interface MissionHandlers {
  start?: {
    /** Whether this client may; absent means everybody who is connected. */
    authorize?: (command: string, context: CommandContext) => boolean | Promise<boolean>
    /** Starts the work and returns its mission. It has 10 s. */
    start: (command: string, context: CommandContext) => Mission | Promise<Mission>
  }
  cancel?: {
    /** Whether this client may see and cancel the mission; absent means everybody who is connected. */
    authorize?: (mission: Mission, context: CommandContext) => boolean | Promise<boolean>
  }
}

/** What became of a client's command, as a value. */
export type CommandResult =
  | { accepted: true, missionId: string }
  | { accepted: false, code: 'unsupported' | 'forbidden' | 'unknown_mission' | 'internal_error' }

/** The time a host's handler has for one command, in ms. */
const COMMAND_TIMEOUT_MS = 10_000

interface Setup {
  clock: Clock
  onCallbackError: (where: string, err: unknown) => void
  find: (id: string) => Mission | undefined
}

/** Missions that a running start handler has made: what happens to them is told only after the client's ack. */
interface Pending { isOpen: boolean, readonly held: Map<Mission, Array<() => void>> }

/** Carries client commands to the host's handlers. Nothing a handler does (throw, hang, return garbage) reaches the caller but as a code. */
export class Commands {
  readonly #setup: Setup
  readonly #pending = new AsyncLocalStorage<Pending>()
  readonly #holders = new Map<Mission, Pending>()
  #handlers: MissionHandlers = {}

  constructor (setup: Setup) {
    this.#setup = setup
  }

  use (handlers: MissionHandlers): void {
    this.#handlers = checkHandlers(handlers)
  }

  /** The commands that clients may send. */
  get capabilities (): string[] {
    return [...(this.#handlers.start ? ['mission_start'] : []), ...(this.#handlers.cancel ? ['mission_cancel'] : [])]
  }

  /**
   * Runs a start command. `acknowledge` is called once with the result, before any update of the new mission is told to anyone.
   */
  async start (command: string, context: CommandContext, acknowledge: (result: CommandResult) => void): Promise<void> {
    const pending: Pending = { isOpen: true, held: new Map() }
    try {
      acknowledge(await this.#pending.run(pending, () => this.#guard('start_handler', () => this.#runStart(command, context))))
    } finally {
      this.#release(pending)
    }
  }

  /** Runs a cancel command. A mission that the client may not see answers as one that does not exist. */
  async cancel (missionId: string, context: CommandContext): Promise<CommandResult> {
    return this.#guard('cancel_handler', async () => {
      const { cancel } = this.#handlers
      if (cancel === undefined) return { accepted: false, code: 'unsupported' }
      const mission = this.#setup.find(missionId)
      if (mission === undefined) return { accepted: false, code: 'unknown_mission' }
      if (cancel.authorize !== undefined && await cancel.authorize(mission, context) !== true) return { accepted: false, code: 'unknown_mission' }
      mission.cancel({ kind: 'client' })
      return { accepted: true, missionId }
    })
  }

  /** To be called for every new mission, so that one made by a start handler is held back until its ack. */
  started (mission: Mission): void {
    const pending = this.#pending.getStore()
    if (pending?.isOpen !== true) return
    pending.held.set(mission, [])
    this.#holders.set(mission, pending)
  }

  /** Tells now, or right after the ack of the command that made the mission. */
  whenAcknowledged (mission: Mission, tell: () => void): void {
    const held = this.#holders.get(mission)?.held.get(mission)
    if (held === undefined) tell()
    else held.push(tell)
  }

  async #runStart (command: string, context: CommandContext): Promise<CommandResult> {
    const { start } = this.#handlers
    if (start === undefined) return { accepted: false, code: 'unsupported' }
    if (start.authorize !== undefined && await start.authorize(command, context) !== true) return { accepted: false, code: 'forbidden' }
    const mission = await start.start(command, context)
    if (this.#setup.find(mission?.id) === undefined) throw new InvalidHandler('start must return the mission that it started')
    return { accepted: true, missionId: mission.id }
  }

  // The timer also ends the wait for a handler that never settles; what it does later is its own.
  async #guard (where: string, run: () => Promise<CommandResult>): Promise<CommandResult> {
    return await new Promise<CommandResult>((resolve) => {
      const fail = (err: unknown) => {
        timer.cancel()
        this.#setup.onCallbackError(where, err)
        resolve({ accepted: false, code: 'internal_error' })
      }
      const timer = this.#setup.clock.after(COMMAND_TIMEOUT_MS, () => fail(new InvalidHandler(`no answer within ${COMMAND_TIMEOUT_MS} ms`)))
      run().then((result) => {
        timer.cancel()
        resolve(result)
      }, fail)
    })
  }

  #release (pending: Pending): void {
    pending.isOpen = false
    for (const [mission, tells] of pending.held) {
      // A listener may report again meanwhile: that is appended, so the order stands.
      for (const tell of tells) tell()
      this.#holders.delete(mission)
    }
  }
}

function checkHandlers (handlers: MissionHandlers): MissionHandlers {
  const isAbsentOrFunction = (value: unknown) => value === undefined || typeof value === 'function'
  const { start, cancel } = handlers
  if (start !== undefined && typeof start.start !== 'function') throw new InvalidHandler('start.start must be a function')
  if (!isAbsentOrFunction(start?.authorize)) throw new InvalidHandler('start.authorize must be a function')
  if (!isAbsentOrFunction(cancel?.authorize)) throw new InvalidHandler('cancel.authorize must be a function')
  return { ...handlers }
}
