import type { MissionState } from '../../missions/index.js'
import type { Appender, Sending } from './appender.js'
import type { StepOutbox } from './outbox.js'
import type { Restatements } from './restatements.js'
import type { Picture } from '../picture/picture.js'
import type { Reconciler } from '../reconciler.js'

export interface UncertainBatchDeps {
  picture: Picture
  appender: Appender
  reconciler: Reconciler
  outbox: StepOutbox
  restatements: Restatements
}

interface Uncertain extends Sending {
  readonly instance: string
  /** It was on its way when the log was loaded again, and may be behind the states. */
  readonly isHidden: boolean
}

/**
 * The batch whose answer was missing when this process was fenced. Nothing is sent under the new identity before the
 * log was read so far that it shows whether the batch was appended: otherwise its steps would be appended twice.
 */
export class UncertainBatch {
  readonly #deps: UncertainBatchDeps
  #batch: Uncertain | undefined
  #hidden: Sending | undefined
  /** The log has to be read up to this sequence. */
  #upTo: number | undefined

  constructor (deps: UncertainBatchDeps) {
    this.#deps = deps
  }

  /** `instance` is fenced: its batches are appended by now, or never. */
  suspend (instance: string): void {
    const sending = this.#deps.appender.suspend()
    if (sending !== undefined) this.#batch = { ...sending, instance, isHidden: sending === this.#hidden }
  }

  /** The new identity has joined, and the log had this length. */
  joined (sequence: number): void {
    this.#upTo = sequence
    this.followed()
  }

  /** More of the log was read. */
  followed (): void {
    const { picture, appender } = this.#deps
    if (this.#upTo === undefined || picture.position.sequence < this.#upTo) return
    const batch = this.#batch
    this.#batch = this.#upTo = undefined
    if (batch !== undefined) this.#settle(batch)
    appender.open()
  }

  #settle (batch: Uncertain): void {
    const { reconciler, outbox, restatements } = this.#deps
    const isRead = reconciler.hasRead(batch.instance, batch.number)
    if (!isRead && !batch.isHidden) return outbox.putBack(batch.steps)
    // The refused steps will never be read back.
    reconciler.reload(outbox.steps())
    if (!isRead) restatements.afterLoss(new Set(missionsOf(batch)))
  }

  /** The log was loaded again, and does not show it any more. Returns the missions whose state tells. */
  drop (): MissionState[] {
    const missions = this.#batch === undefined ? [] : missionsOf(this.#batch)
    this.#batch = undefined
    this.#hidden = this.#deps.appender.sending
    if (this.#upTo !== undefined) this.#upTo = 0
    return missions
  }
}

const missionsOf = ({ steps }: Sending): MissionState[] => steps.flatMap(({ mission }) => mission ?? [])
