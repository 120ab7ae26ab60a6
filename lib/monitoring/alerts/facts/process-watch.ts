import type { ProcessFacts } from './alert-facts.js'
import { LoadSamples, STEPS } from './load-samples.js'

/** Counters of this process; `slowConsumers` since its start. */
export interface ProcessSource { readonly eventLoopDelayMs: number, readonly slowConsumers: number }

/** Reads the facts about this process. */
export class ProcessWatch {
  readonly #source: () => ProcessSource
  readonly #slowConsumers = new LoadSamples()

  constructor (source: () => ProcessSource) {
    this.#source = source
  }

  read (at: number): ProcessFacts {
    const { eventLoopDelayMs, slowConsumers } = this.#source()
    this.#slowConsumers.add(at, slowConsumers)
    const [before, ...later] = this.#slowConsumers.read(at)
    // A younger process has counted all of them within the window.
    return { eventLoopDelayMs, slowConsumers: later.length === STEPS ? slowConsumers - before! : slowConsumers }
  }
}
