import type { AppendResult, SharedLog, Verdict } from '../../backplane/contract.js'
import type { Clock, Timer } from '../../base/clock.js'
import type { OwnUpdates } from '../picture/own-updates.js'
import type { AckedBatches } from './acked-batches.js'
import type { StepOutbox } from './outbox.js'
import type { PendingStep } from './steps.js'

/**
 * Limits of one batch. Only one batch is on its way, and each waits for the turns of this process and of Redis, so a
 * small limit would limit the rate. Redis does nothing else while it appends one, for about 15 ms at most.
 */
const MAX_STEPS = 1_024
const MAX_BYTES = 1_048_576
/** While steps come without a pause, those of so many ms are one batch: each batch costs several round trips. */
const PACE_MS = 2
/** The pauses after failures. */
const RETRY_MS = { first: 50, longest: 1_000 }

export interface AppenderDeps {
  clock: Clock
  log: SharedLog
  outbox: StepOutbox
  /** Calls the function once the present turn is over, so that all steps of the turn are one batch. */
  defer: (run: () => void) => void
  onVerdicts: (steps: readonly PendingStep[], verdicts: readonly Verdict[]) => void
  /** The instance is fenced. To be answered with `suspend`. */
  onFenced: () => void
  acked: AckedBatches
  own: OwnUpdates
  /** Whether the last attempt has failed, with the error. */
  onState: (err: unknown) => void
}

/** A batch whose answer has not come yet. */
export interface Sending { readonly number: number, readonly steps: readonly PendingStep[] }

/**
 * Sends the steps of the outbox, one batch at a time. A batch whose answer is lost is sent again with its number, which
 * the log appends once.
 */
export class Appender {
  readonly #deps: AppenderDeps
  #number = 0
  #sending: Sending | undefined
  #retry: Timer | undefined
  #retryMs = RETRY_MS.first
  #sentAt = -Infinity
  #isScheduled = false
  #isOpen = false
  #isClosed = false
  #idle: Array<() => void> = []

  constructor (deps: AppenderDeps) {
    this.#deps = deps
  }

  /** The batch that is on its way. */
  get sending (): Sending | undefined { return this.#sending }

  /** The instance has a lease: from now on its batches are numbered from 1. */
  open (): void {
    this.#isOpen = true
    this.#number = 0
    this.#deps.acked.restart()
    // What has failed before was given up.
    this.#deps.onState(undefined)
    this.schedule()
  }

  /** Sends nothing until `open`. Returns the batch whose answer will be ignored. */
  suspend (): Sending | undefined {
    const sending = this.#sending
    this.#isOpen = false
    this.#sending = undefined
    this.#retry?.cancel()
    return sending
  }

  /** Sends what waits, after the present turn. */
  schedule (): void {
    if (this.#isScheduled || !this.#isOpen || this.#sending !== undefined) return
    this.#isScheduled = true
    const { clock, defer } = this.#deps
    const send = () => {
      this.#isScheduled = false
      this.#sendNext()
    }
    const dueMs = this.#sentAt + PACE_MS - clock.monotonic()
    if (dueMs > 0) clock.after(Math.ceil(dueMs), send)
    else defer(send)
  }

  /** Resolves when nothing waits any more, or the appender is closed. */
  async idle (): Promise<void> {
    if (this.#isClosed || (this.#sending === undefined && this.#deps.outbox.length === 0)) return
    await new Promise<void>((resolve) => { this.#idle.push(resolve) })
  }

  close (): void {
    this.#isClosed = true
    this.#isOpen = false
    this.#retry?.cancel()
    this.#wake()
  }

  #sendNext (): void {
    if (!this.#isOpen || this.#sending !== undefined) return
    const steps = this.#deps.outbox.take(MAX_STEPS, MAX_BYTES)
    if (steps.length === 0) return this.#wake()
    this.#sending = { number: ++this.#number, steps }
    this.#sentAt = this.#deps.clock.monotonic()
    this.#send(this.#sending)
  }

  #send (sending: Sending): void {
    const { log, own } = this.#deps
    const { number, steps } = sending
    const last = new Map(steps.map(({ mission }, index) => [mission, index]))
    const built = steps.map((step, index) =>
      // A later step may be refused after an ending.
      step.build(step.isEnding || step.mission === undefined || last.get(step.mission) === index))
    for (const [index, { update }] of steps.entries()) {
      const { messageId, update: text } = built[index]!
      if (update !== undefined) own.put(messageId, { update, text })
    }
    log.append({ number, steps: built }).then(
      (result) => this.#received(sending, result),
      (err: unknown) => this.#failed(sending, err)
    )
  }

  #received (sending: Sending, result: AppendResult): void {
    if (this.#sending !== sending || this.#isClosed) return
    this.#retryMs = RETRY_MS.first
    const { outbox, onState, onFenced, onVerdicts } = this.#deps
    onState(undefined)
    // An earlier answer may have been lost, so the batch may be in the log.
    if (result.outcome === 'fenced') return onFenced()
    this.#sending = undefined
    // A batch of which nothing was applied is not in the log.
    if (result.verdicts.includes('applied')) this.#deps.acked.acked(sending.number)
    onVerdicts(sending.steps, result.verdicts)
    if (outbox.length === 0) this.#wake()
    else if (outbox.length >= MAX_STEPS) this.#sendNext()
    else this.schedule()
  }

  #failed (sending: Sending, err: unknown): void {
    if (this.#sending !== sending || this.#isClosed) return
    this.#deps.onState(err)
    this.#retry = this.#deps.clock.after(this.#retryMs, () => this.#send(sending))
    this.#retryMs = Math.min(RETRY_MS.longest, this.#retryMs * 2)
  }

  #wake (): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
