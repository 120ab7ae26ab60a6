import type { Aggregator, MetricDefinition, MetricType, Sample } from './metric-definition.js'

/** What a registry gets when it asks a metric. */
export interface Reading {
  name: string
  help: string
  type: MetricType
  aggregator: Aggregator
  values: readonly Sample[]
}

/**
 * A definition in the shape that a prom-client registry holds.
 *
 * It keeps no figures: every `get` reads the domain again. It never fails, since the host's own scrape, where a failing
 * metric takes all others with it, reads it too: what `read` throws goes to `onError`, and the metric has no samples.
 */
export class OwnMetric {
  readonly help: string
  readonly type: MetricType
  readonly aggregator: Aggregator
  readonly #definition: MetricDefinition
  readonly #onError: (metric: string, err: unknown) => void
  #nextName: string | undefined

  constructor (definition: MetricDefinition, onError: (metric: string, err: unknown) => void) {
    this.help = definition.help
    this.type = definition.type
    this.aggregator = definition.aggregator
    this.#definition = definition
    this.#onError = onError
  }

  get name (): string { return this.#definition.name }

  // A registry that renders OpenMetrics takes `_total` off a counter's name right before it asks the counter, and leaves
  // it off. Here the new name holds for that one question, so the other format still finds the old one.
  set name (name: string) { this.#nextName = name }

  async get (): Promise<Reading> {
    const name = this.#nextName ?? this.name
    this.#nextName = undefined
    return { name, help: this.help, type: this.type, aggregator: this.aggregator, values: await this.#read() }
  }

  /** For `registry.resetMetrics()`; does nothing, since the figures belong to the domain. */
  reset (): void {}

  async #read (): Promise<readonly Sample[]> {
    try {
      return await this.#definition.read()
    } catch (err) {
      this.#onError(this.name, err)
      return []
    }
  }
}
