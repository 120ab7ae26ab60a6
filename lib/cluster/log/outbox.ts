import type { MissionState } from '../../missions/index.js'
import { Queue } from '../../base/queue.js'
import type { PendingStep } from './steps.js'

export interface OutboxLimits { readonly maxSteps: number, readonly maxBytes: number }

/** While the backplane is away, so much waits for it. */
export const OUTBOX_LIMITS: OutboxLimits = { maxSteps: 10_000, maxBytes: 16_777_216 }
/** When it is full, steps are dropped down to this share, so that this is rarely needed. */
const KEPT_SHARE = 0.9

/** What was dropped since the last call of `takeDropped`. */
export interface Dropped {
  /** The missions whose present state must be told. */
  readonly missions: ReadonlySet<MissionState>
  /** Whether clients miss something that must reach them. */
  readonly isGap: boolean
}

/**
 * The steps that wait for the log, in their order. Beyond the limits, steps are dropped: those that newer ones replace
 * first, endings last.
 */
export class StepOutbox {
  droppedSteps = 0
  droppedEndings = 0
  readonly #limits: OutboxLimits
  #steps = new Queue<PendingStep>()
  #bytes = 0
  #dropped = new Set<MissionState>()
  #isGap = false

  constructor (limits = OUTBOX_LIMITS) {
    this.#limits = limits
  }

  get length (): number { return this.#steps.length }

  get bytes (): number { return this.#bytes }

  steps (): PendingStep[] { return this.#steps.slice() }

  put (step: PendingStep): void {
    this.#steps.push(step)
    this.#bytes += step.bytes
    const { maxSteps, maxBytes } = this.#limits
    if (this.#steps.length > maxSteps || this.#bytes > maxBytes) this.#makeRoom()
  }

  /** Puts steps back in front, because they were not appended. */
  putBack (steps: readonly PendingStep[]): void {
    const later = this.#steps.slice()
    this.#steps.clear()
    this.#bytes = 0
    for (const step of [...steps, ...later]) this.put(step)
  }

  /** Takes the next steps, at most `maxSteps` and about `maxBytes`. */
  take (maxSteps: number, maxBytes: number): PendingStep[] {
    const steps: PendingStep[] = []
    for (let bytes = 0; steps.length < maxSteps && bytes < maxBytes;) {
      const step = this.#steps.shift()
      if (step === undefined) break
      steps.push(step)
      bytes += step.bytes
      this.#bytes -= step.bytes
    }
    return steps
  }

  /** What was dropped, once everything that was not is on its way. */
  takeDropped (): Dropped | undefined {
    if (this.#dropped.size === 0 && !this.#isGap) return undefined
    const dropped = { missions: this.#dropped, isGap: this.#isGap }
    this.#dropped = new Set()
    this.#isGap = false
    return dropped
  }

  #makeRoom (): void {
    this.#dropOldest((step) => step.mission !== undefined && !step.isReliable)
    this.#dropOldest((step) => !step.isEnding)
    this.#dropOldest(() => true)
  }

  // Not more than needed.
  #dropOldest (isDroppable: (step: PendingStep) => boolean): void {
    const { maxSteps, maxBytes } = this.#limits
    let surplus = this.#steps.length - maxSteps * KEPT_SHARE
    let surplusBytes = this.#bytes - maxBytes * KEPT_SHARE
    if (surplus <= 0 && surplusBytes <= 0) return
    const kept: PendingStep[] = []
    for (const step of this.#steps.slice()) {
      if ((surplus <= 0 && surplusBytes <= 0) || !isDroppable(step)) {
        kept.push(step)
        continue
      }
      surplus--
      surplusBytes -= step.bytes
      this.#drop(step)
    }
    this.#steps.clear()
    for (const step of kept) this.#steps.push(step)
    this.#bytes = kept.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  #drop ({ mission, isEnding, isReliable }: PendingStep): void {
    this.droppedSteps++
    if (isEnding) this.droppedEndings++
    if (mission !== undefined) this.#dropped.add(mission)
    if (isReliable) this.#isGap = true
  }
}
