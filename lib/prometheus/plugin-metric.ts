import type { Aggregator, Labels, MetricDefinition, MetricType, Sample } from './metric.js'
import type { Format } from './negotiation.js'
import { renderHead, renderSamples } from './renderer.js'

/**
 * A metric of the plugin. It renders itself, and has the shape that a prom-client registry holds.
 *
 * It stores no values: every scrape reads the domain. Reading never fails, because in the host's own scrape one failing
 * metric fails all others. Errors of `read` go to `onError` instead, and the metric has no samples in that scrape.
 */
export class PluginMetric {
  readonly help: string
  readonly type: MetricType
  readonly aggregator: Aggregator
  readonly #definition: MetricDefinition
  readonly #onError: (metric: string, err: unknown) => void
  readonly #heads: Readonly<Record<Format, string>>
  #nextName: string | undefined

  constructor (definition: MetricDefinition, onError: (metric: string, err: unknown) => void) {
    this.help = definition.help
    this.type = definition.type
    this.aggregator = definition.aggregator
    this.#definition = definition
    this.#onError = onError
    this.#heads = { text: renderHead(definition, 'text'), openmetrics: renderHead(definition, 'openmetrics') }
  }

  get name (): string { return this.#definition.name }

  // When a registry renders OpenMetrics, it removes `_total` from a counter's name just before it calls `get`, and
  // never restores it. Here the shorter name applies to that one call, so that the text format keeps the full name.
  set name (name: string) { this.#nextName = name }

  /** The lines of the metric with fresh samples, without a line break at the end. */
  render (format: Format, defaultLabels?: Labels): string {
    const samples = this.#read()
    return this.#heads[format] + renderSamples(samples, { name: this.#definition.name, format, defaultLabels })
  }

  /** The metric with fresh samples, as prom-client expects it. */
  async get () {
    const name = this.#nextName ?? this.name
    this.#nextName = undefined
    const values = this.#read().map((sample) => toValue(sample, this.name))
    return { name, help: this.help, type: this.type, aggregator: this.aggregator, values }
  }

  /** For `registry.resetMetrics()`; does nothing, because the values belong to the domain. */
  reset (): void {}

  #read (): readonly Sample[] {
    try {
      return this.#definition.read()
    } catch (err) {
      this.#onError(this.name, err)
      return []
    }
  }
}

function toValue ({ labels, value, suffix, exemplar }: Sample, name: string): object {
  if (suffix === undefined) return { labels, value }
  const line = { labels, value, metricName: name + suffix }
  if (exemplar === undefined) return line
  const { traceId, value: traced, at } = exemplar
  return { ...line, exemplar: { labelSet: { trace_id: traceId }, value: traced, timestamp: at / 1_000 } }
}
