import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import type { Clock } from '../../base/clock.js'
import { InvalidHandler } from '../../base/errors.js'
import { checkHandlers, parseCommand, type CheckedHandlers, type CommandContext, type MissionHandlers } from './handlers.js'
import { Idempotency } from './idempotency.js'
import type { CancelResult } from '../types.js'
import type { Mission } from '../mission.js'
import { StartLimit } from './start-limit.js'

/** Why a command was refused; the codes are those of the protocol. */
export type CommandRefusal = 'unsupported' | 'invalid_command' | 'id_reused' | 'too_many_starts' | 'forbidden' | 'unknown_mission' | 'internal_error'

/** What became of a client's command, as a value. */
export type CommandResult =
  | { accepted: true, missionId: string, cancel?: CancelResult }
  | { accepted: false, code: CommandRefusal }

/** A start command of one connection; `id` is the client's, and its idempotency key. */
export interface StartCommand { command: string, id: string | undefined, request: unknown, connectionId: string }

const COMMAND_TIMEOUT_MS = 10_000
const STARTS_PER_MINUTE = 5
const IDEMPOTENCY = { keepMs: 300_000, max: 10_000 }

interface Setup {
  clock: Clock
  onCallbackError: (where: string, err: unknown) => void
  find: (id: string) => Mission | undefined
}

/** Missions that a running start handler has made: what happens to them is told only after the client's ack. */
interface PendingStart { isOpen: boolean, readonly held: Map<Mission, Array<() => void>> }

type StartHandler = NonNullable<MissionHandlers['start']>

// A command may be long, and what is kept of it is there for minutes.
const fingerprintOf = (command: string): string => createHash('sha256').update(command).digest('base64')

const refuse = (code: CommandRefusal): CommandResult => ({ accepted: false, code })

// Nobody hears it; the client was answered when the time was up.
const TOO_LATE = refuse('internal_error')

/** Carries client commands to the host's handlers. Nothing a handler does (throw, hang, return garbage) reaches the caller but as a code. */
export class Commands {
  readonly #setup: Setup
  readonly #pending = new AsyncLocalStorage<PendingStart>()
  readonly #holders = new Map<Mission, PendingStart>()
  readonly #idempotency: Idempotency<CommandResult>
  readonly #starts = new StartLimit(STARTS_PER_MINUTE, 60_000)
  #handlers: CheckedHandlers = {}

  constructor (setup: Setup) {
    this.#setup = setup
    this.#idempotency = new Idempotency(setup.clock, IDEMPOTENCY)
  }

  use (handlers: MissionHandlers): void {
    this.#handlers = checkHandlers(handlers)
  }

  /** The commands that clients may send. */
  get capabilities (): string[] {
    return [...(this.#handlers.start ? ['mission_start'] : []), ...(this.#handlers.cancel ? ['mission_cancel'] : [])]
  }

  /**
   * Runs a start command: validate, limit, authorize, handler. `acknowledge` is called once with the result, before any update of the
   * new mission is told to anyone. A command sent again with the same id is acknowledged again and not carried out again.
   */
  async start (asked: StartCommand, acknowledge: (result: CommandResult) => void): Promise<void> {
    const { start, validateParams } = this.#handlers
    if (start === undefined) return acknowledge(refuse('unsupported'))
    const parsed = parseCommand(asked.command, validateParams)
    if (!parsed.isValid) return acknowledge(refuse('invalid_command'))
    const context = { request: asked.request, connectionId: asked.connectionId, params: parsed.params }
    const pending: PendingStart = { isOpen: true, held: new Map() }
    const call = () => this.#pending.run(pending, () => this.#limitedStart(asked, context, start, pending))
    try {
      const result = await this.#once(asked, context, call)
      if (!result.accepted) for (const mission of pending.held.keys()) this.#withdraw(mission)
      acknowledge(result)
    } finally {
      // Not in this turn: whoever sent the same command meanwhile is acknowledged in it too, and an ack comes before any update.
      queueMicrotask(() => this.#release(pending))
    }
  }

  /** Runs a cancel command. A mission that the client may not see answers as one that does not exist. */
  async cancel (missionId: string, context: CommandContext): Promise<CommandResult> {
    return await this.#guard('cancel_handler', async (isAwaited) => {
      const { cancel } = this.#handlers
      if (cancel === undefined) return refuse('unsupported')
      const mission = this.#setup.find(missionId)
      if (mission === undefined || !this.isVisible(mission, context)) return refuse('unknown_mission')
      if (cancel.authorize !== undefined && await cancel.authorize(mission, context) !== true) return refuse('unknown_mission')
      if (!isAwaited()) return TOO_LATE
      return { accepted: true, missionId, cancel: mission.requestCancel('client') }
    })
  }

  /** Whether a client may see a mission; a handler that fails hides it. */
  isVisible (mission: Mission, context: CommandContext): boolean {
    const { view } = this.#handlers
    return view?.authorize === undefined || this.#askNow('view_handler', () => view.authorize!(mission, context), (answer) => answer === true) === true
  }

  /** Whether some clients may see less than others. */
  get hasVisibilityFilter (): boolean { return this.#handlers.view !== undefined }

  /** Whether nothing of a mission may be told yet, because the command that made it was not acknowledged. */
  isAwaitingAck (mission: Mission): boolean {
    return this.#holders.get(mission)?.isOpen === true
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

  async #once (asked: StartCommand, context: CommandContext, call: () => Promise<CommandResult>): Promise<CommandResult> {
    if (asked.id === undefined) return await call()
    const owner = this.#ownerOf(asked.connectionId, context)
    if (owner === undefined) return refuse('internal_error')
    const keyed = this.#idempotency.once(`${owner} ${asked.id}`, fingerprintOf(asked.command), call, ({ accepted }) => accepted)
    return keyed.isConflict ? refuse('id_reused') : await keyed.outcome
  }

  #ownerOf (connectionId: string, context: CommandContext): string | undefined {
    const { identify } = this.#handlers
    if (identify === undefined) return connectionId
    return this.#askNow('identify_handler', () => identify(context), (identity) => {
      if (identity === undefined) return connectionId
      if (typeof identity !== 'string' || identity === '') throw new InvalidHandler('identify must return text or undefined')
      // In quotes, so that it never reads like a connection.
      return JSON.stringify(identity)
    })
  }

  async #limitedStart (asked: StartCommand, context: CommandContext, start: StartHandler, { held }: PendingStart): Promise<CommandResult> {
    if (!this.#starts.take(asked.connectionId, this.#setup.clock.monotonic())) return refuse('too_many_starts')
    return await this.#guard('start_handler', async (isAwaited) => {
      if (start.authorize !== undefined && await start.authorize(asked.command, context) !== true) return refuse('forbidden')
      if (!isAwaited()) return TOO_LATE
      const mission = await start.start(asked.command, context)
      const id: unknown = mission?.id
      if (!isAwaited()) return this.#withdraw(this.#setup.find(id as string))
      // One that ended at once may be forgotten already.
      if (!held.has(mission) && this.#setup.find(id as string) === undefined) throw new InvalidHandler('start must return the mission that it started')
      return { accepted: true, missionId: id as string }
    })
  }

  // The client was told that its start failed and may send it again: what the handler has started all the same must not go on beside it.
  #withdraw (mission: Mission | undefined): CommandResult {
    mission?.requestCancel('client', { reason: 'The start failed' })
    return TOO_LATE
  }

  // For a handler that must answer at once: a promise is no answer, and its rejection would end the process.
  #askNow<T> (where: string, ask: () => unknown, read: (answer: unknown) => T): T | undefined {
    const { onCallbackError } = this.#setup
    try {
      const answer = ask()
      if (!(answer instanceof Promise)) return read(answer)
      answer.catch((err: unknown) => onCallbackError(where, err))
      throw new InvalidHandler('a promise came where the answer is needed at once')
    } catch (err) {
      onCallbackError(where, err)
      return undefined
    }
  }

  // The timer also ends the wait for a handler that never settles. What comes after it must not be carried out any more: the client was
  // told that it failed, and may have asked again.
  async #guard (where: string, run: (isAwaited: () => boolean) => Promise<CommandResult>): Promise<CommandResult> {
    return await new Promise<CommandResult>((resolve) => {
      let isAwaited = true
      const fail = (err: unknown) => {
        isAwaited = false
        timer.cancel()
        this.#setup.onCallbackError(where, err)
        resolve(refuse('internal_error'))
      }
      const timer = this.#setup.clock.after(COMMAND_TIMEOUT_MS, () => fail(new InvalidHandler(`no answer within ${COMMAND_TIMEOUT_MS} ms`)))
      run(() => isAwaited).then((result) => {
        timer.cancel()
        resolve(result)
      }, fail)
    })
  }

  #release (pending: PendingStart): void {
    pending.isOpen = false
    for (const [mission, tells] of pending.held) {
      // A listener may report again meanwhile: that is appended, so the order stands.
      for (const tell of tells) tell()
      this.#holders.delete(mission)
    }
    // Whatever the handler left running keeps this object for as long as it runs.
    pending.held.clear()
  }
}
