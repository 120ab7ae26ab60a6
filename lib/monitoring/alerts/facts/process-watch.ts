import type { ProcessFacts } from './alert-facts.js'
import { LoadSamples } from './load-samples.js'

/** Counters of this process; `slowConsumers` since its start. */
export interface ProcessSource { readonly eventLoopDelayMs: number, readonly slowConsumers: number }

/** Reads the facts about this process, once for each evaluation. */
export class ProcessWatch {
  readonly #source: () => ProcessSource
  readonly #slowConsumers = new LoadSamples()

  constructor (source: () => ProcessSource) {
    this.#source = source
  }

  read (at: number): ProcessFacts {
    const { eventLoopDelayMs, slowConsumers } = this.#source()
    this.#slowConsumers.add(at, slowConsumers)
    const [before] = this.#slowConsumers.read(at)
    return { eventLoopDelayMs, slowConsumers: slowConsumers - before! }
  }
}
