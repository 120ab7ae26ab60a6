import type { Sensitivity } from '../envelope-types.js'
import { Signal, type SavedSignal } from './signal.js'
import type { SignalKind, SignalLabels } from './signal-kinds.js'

/** How many signals of one rule are kept. A new one takes the place of one without samples. */
const MAX_SIGNALS = 40

export interface SignalGroupDeps {
  kind: SignalKind
  sensitivity: Sensitivity
  minDelta: number
}

/** The signals of one rule, by their labels. Bounded. */
export class SignalGroup {
  readonly #deps: SignalGroupDeps
  /** In the order in which they were created. */
  readonly #signals = new Map<string, Signal>()

  constructor (deps: SignalGroupDeps) {
    this.#deps = deps
  }

  get signals (): Iterable<Signal> {
    return this.#signals.values()
  }

  take (labels: SignalLabels, value: number, now: number): void {
    this.#signalOf(labels, now)?.take(value, now)
  }

  save (): SavedSignal[] {
    return [...this.#signals.values()].map((signal) => signal.save())
  }

  /** Replaces the signals. */
  restore (saved: readonly SavedSignal[], now: number): void {
    this.#signals.clear()
    for (const one of saved) this.#signalOf(one.labels, now)?.restore(one)
  }

  #signalOf (labels: SignalLabels, now: number): Signal | undefined {
    const key = JSON.stringify(labels)
    const known = this.#signals.get(key)
    if (known !== undefined) return known
    if (this.#signals.size >= MAX_SIGNALS && !this.#dropAbandoned(now)) return undefined
    const signal = new Signal({ ...this.#deps, labels })
    this.#signals.set(key, signal)
    return signal
  }

  #dropAbandoned (now: number): boolean {
    for (const [key, signal] of this.#signals) {
      if (signal.isAbandoned(now)) return this.#signals.delete(key)
    }
    return false
  }
}
