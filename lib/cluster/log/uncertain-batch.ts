import type { MissionState } from '../../missions/index.js'
import type { Appender, Sending } from './appender.js'
import type { StepOutbox } from './outbox.js'
import type { Picture } from '../picture/picture.js'
import type { Reconciler } from '../reconciler.js'

export interface UncertainBatchDeps {
  picture: Picture
  appender: Appender
  reconciler: Reconciler
  outbox: StepOutbox
}

/**
 * The batch whose answer was missing when this process was fenced. Nothing is sent under the new identity before the
 * log was read so far that it shows whether the batch was appended: otherwise its steps would be appended twice.
 */
export class UncertainBatch {
  readonly #deps: UncertainBatchDeps
  #batch: Sending & { readonly instance: string } | undefined
  /** The log has to be read up to this sequence. */
  #upTo: number | undefined

  constructor (deps: UncertainBatchDeps) {
    this.#deps = deps
  }

  /** `instance` is fenced: its batches are appended by now, or never. */
  suspend (instance: string): void {
    const sending = this.#deps.appender.suspend()
    if (sending !== undefined) this.#batch = { ...sending, instance }
  }

  /** The new identity has joined, and the log had this length. */
  joined (sequence: number): void {
    this.#upTo = sequence
    this.followed()
  }

  /** More of the log was read. */
  followed (): void {
    const { picture, appender, reconciler, outbox } = this.#deps
    if (this.#upTo === undefined || picture.position.sequence < this.#upTo) return
    const batch = this.#batch
    this.#batch = this.#upTo = undefined
    // What was refused of it will not be read.
    if (batch !== undefined && reconciler.hasRead(batch.instance, batch.number)) reconciler.reload(outbox.steps())
    else if (batch !== undefined) outbox.putBack(batch.steps)
    appender.open()
  }

  /** The log was loaded again, and does not show it any more. Returns the missions whose state tells. */
  drop (): MissionState[] {
    const steps = this.#batch?.steps ?? []
    this.#batch = undefined
    if (this.#upTo !== undefined) this.#upTo = 0
    return steps.flatMap(({ mission }) => mission ?? [])
  }
}
