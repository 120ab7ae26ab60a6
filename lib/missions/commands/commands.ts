import { createHash } from 'node:crypto'
import type { Clock } from '../../base/clock.js'
import { InvalidHandler } from '../../base/errors.js'
import { limitOwner } from '../../base/limits/limit-owner.js'
import type { CancelResult } from '../types.js'
import type { MissionIndex } from '../shared/mission-index.js'
import type { MissionState } from '../state/mission-state.js'
import { readCancelRequest } from '../input/cancel.js'
import type { AckGate, PendingStart } from './ack-gate.js'
import {
  checkHandlers, parseCommand, type CheckedHandlers, type CommandContext, type MissionHandlers
} from './handlers.js'
import type { Caller } from './caller.js'
import { Idempotency } from './idempotency.js'
import { createOffer, type CommandOffer } from './offer.js'
import { StartLimit } from './start-limit.js'

/** Why a command was refused; the codes are those of the protocol. */
export type CommandRefusal =
  | 'unsupported' | 'invalid_command' | 'id_reused' | 'too_many_starts'
  | 'forbidden' | 'unknown_mission' | 'owner_unavailable' | 'internal_error'

/** The result of a client's command, as a value. */
export type CommandResult =
  | { accepted: true, missionId: string, cancel?: CancelResult }
  | { accepted: false, code: CommandRefusal }

/** A start command; `id` is the client's, and its idempotency key. */
export interface StartCommand { command: string, id: string | undefined, caller: Caller }

const COMMAND_TIMEOUT_MS = 10_000
const NO_ANSWER = `no answer within ${COMMAND_TIMEOUT_MS} ms`

/**
 * Starts of one principal within a minute. More principals than are remembered cannot connect in this time with the
 * default of `maxConnectionsPerSecond`.
 */
const STARTS = { max: 5, windowMs: 60_000, maxPrincipals: 100_000 }

/** Only commands that wait for their handler and those that were accepted are remembered: at most 30 per principal. */
const IDEMPOTENCY = { keepMs: 300_000, max: 50_000 }

export interface CommandsDeps {
  clock: Clock
  ackGate: AckGate
  index: MissionIndex
  cancelGraceMs: number
  onCallbackError: (where: string, err: unknown) => void
}

type StartHandler = NonNullable<MissionHandlers['start']>

// Kept for minutes, and a text may be long.
const fingerprintOf = (text: string): string => createHash('sha256').update(text).digest('base64')

const refuse = (code: CommandRefusal): CommandResult => ({ accepted: false, code })

// Nobody receives it: the client was answered when the time was up.
const TOO_LATE = refuse('internal_error')

/**
 * Carries client commands to the host's handlers. A handler that throws, hangs or returns garbage is answered with a
 * code, and its error goes to the host's log alone.
 */
export class Commands {
  readonly #deps: CommandsDeps
  readonly #idempotency: Idempotency<CommandResult>
  readonly #starts = new StartLimit(STARTS)
  #handlers: CheckedHandlers = {}

  constructor (deps: CommandsDeps) {
    this.#deps = deps
    this.#idempotency = new Idempotency(deps.clock, IDEMPOTENCY)
  }

  use (handlers: MissionHandlers): void {
    this.#handlers = checkHandlers(handlers)
  }

  /** The requests that a client may send. The `authorize` functions of the handlers decide on each command later. */
  offer (caller: Caller): CommandOffer {
    return createOffer(this.#handlers, caller, this.#deps.cancelGraceMs)
  }

  /**
   * Runs a start command: validate, look up its id, limit, authorize, handler. `acknowledge` is called once with the
   * result, before any update of the new mission is emitted. A command that is sent again with its id is acknowledged
   * again and not carried out again.
   */
  async start (asked: StartCommand, acknowledge: (result: CommandResult) => void): Promise<void> {
    const { start, validateParams } = this.#handlers
    if (start === undefined) return acknowledge(refuse('unsupported'))
    const parsed = parseCommand(asked.command, validateParams)
    if (!parsed.isValid) return acknowledge(refuse('invalid_command'))
    const { ackGate } = this.#deps
    const { tenant } = asked.caller
    const pending: PendingStart = { isOpen: true, tenant, started: new Set(), held: new Map() }
    const call = () => ackGate.run(pending, () => this.#run(asked, parsed.params, start, pending))
    try {
      const result = await this.#limit(asked, call)
      if (!result.accepted) for (const mission of pending.started) withdraw(mission)
      acknowledge(result)
    } finally {
      // Not in this microtask: a client that sent the same command meanwhile is acknowledged in it too, and its ack
      // comes first as well.
      queueMicrotask(() => ackGate.release(pending))
    }
  }

  /**
   * Runs a cancel command. A mission that is not visible to the client is answered like one that does not exist. A
   * reason that is too long is cut.
   */
  async cancel (missionId: string, caller: Caller, reason?: string): Promise<CommandResult> {
    return await this.#guard('cancel_handler', async (isAwaited) => {
      const { cancel } = this.#handlers
      if (cancel === undefined) return refuse('unsupported')
      const mission = this.#deps.index.find(missionId)
      if (mission === undefined || !mayCancelAtAll(caller, mission)) return refuse('unknown_mission')
      const context = contextOf(caller)
      const mayCancel = cancel.authorize === undefined || await cancel.authorize(mission.handle, context) === true
      if (!mayCancel) return refuse('unknown_mission')
      if (!isAwaited()) return TOO_LATE
      const request = readCancelRequest({ ...(reason !== undefined && { reason }) }, mission.cuts)
      const answer = await this.#deps.index.shared?.forwardCancel(mission, 'client', request)
      if (answer === 'owner_unavailable') return refuse(answer)
      return { accepted: true, missionId, cancel: answer ?? mission.requestCancel('client', request) }
    })
  }

  // The limit and the ids of commands belong to the principal: other clients can neither use them up nor drop them.
  async #limit (
    { id, command, caller }: StartCommand, call: () => Promise<CommandResult>
  ): Promise<CommandResult> {
    const owner = fingerprintOf(limitOwner(caller, caller.request))
    const take = () => this.#starts.take(owner, this.#deps.clock.monotonic())
    if (id === undefined) return take() ? await call() : refuse('too_many_starts')
    const [key, fingerprint] = [`${owner} ${id}`, fingerprintOf(command)]
    const known = this.#idempotency.find(key, fingerprint)
    if (known !== undefined) return known.isConflict ? refuse('id_reused') : await known.outcome
    if (this.#idempotency.isFull || !take()) return refuse('too_many_starts')
    return await this.#idempotency.run(key, fingerprint, call, ({ accepted }) => accepted)
  }

  async #run (
    { command, caller }: StartCommand, params: unknown, start: StartHandler, { started }: PendingStart
  ): Promise<CommandResult> {
    return await this.#guard('start_handler', async (isAwaited) => {
      if (!caller.may('start')) return refuse('forbidden')
      const context = { ...contextOf(caller), params }
      const mayStart = start.authorize === undefined || await start.authorize(command, context) === true
      if (!mayStart) return refuse('forbidden')
      if (!isAwaited()) return TOO_LATE
      const returned = await start.start(command, context)
      const id: unknown = returned?.id
      const mission = this.#deps.index.find(id as string)
      if (!isAwaited()) {
        if (mission !== undefined) withdraw(mission)
        return TOO_LATE
      }
      // A mission that ended at once may be forgotten already.
      const isStarted = mission !== undefined || [...started].some((one) => one.id === id)
      if (!isStarted) throw new InvalidHandler('start must return the mission that it started')
      if (mission !== undefined && !isOf(caller, mission)) {
        throw new InvalidHandler('start must return a mission of the tenant of the client')
      }
      return { accepted: true, missionId: id as string }
    })
  }

  // The timer ends the wait for a handler that never settles. A later result must not be carried out: the client was
  // told that its command failed, and may have sent it again.
  async #guard (where: string, run: (isAwaited: () => boolean) => Promise<CommandResult>): Promise<CommandResult> {
    return await new Promise<CommandResult>((resolve) => {
      let isAwaited = true
      const fail = (err: unknown) => {
        isAwaited = false
        timer.cancel()
        this.#deps.onCallbackError(where, err)
        resolve(refuse('internal_error'))
      }
      const timer = this.#deps.clock.after(COMMAND_TIMEOUT_MS, () => fail(new InvalidHandler(NO_ANSWER)))
      run(() => isAwaited).then((result) => {
        timer.cancel()
        resolve(result)
      }, fail)
    })
  }
}

// What the host's functions get.
const contextOf = ({ request, principal, connectionId }: Caller): CommandContext =>
  ({ request, principal, connectionId })

const isOf = ({ tenant }: Caller, mission: MissionState): boolean => tenant === undefined || mission.tenant === tenant

const mayCancelAtAll = (caller: Caller, { subject }: MissionState): boolean =>
  caller.may('see', subject) && caller.may('cancel', subject)

// The client was told that its start failed and may send it again: what the handler has started must not run beside
// that.
function withdraw (mission: MissionState): void {
  mission.requestCancel('client', { reason: 'The start failed' })
}
