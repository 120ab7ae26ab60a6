import type { Clock } from '../../base/clock.js'
import type { Labels } from '../metric.js'
import type { Format } from '../negotiation.js'
import type { PluginMetric } from '../plugin-metric.js'
import { Collector } from './collector.js'
import { copyLabel, copyMetric, type CopyOptions } from './copied-metric.js'
import {
  addMetrics,
  asMetricRegistry,
  originalName,
  readDefaultLabels,
  removeMetrics,
  type MetricRegistry,
  type RegisteredMetric
} from './metric-registry.js'
import { withoutClashes, type RenderedMetric } from './name-clashes.js'
import { renderCopy } from './prom-client.js'

export interface HostRegistryDeps {
  registry: object
  metrics: readonly PluginMetric[]
  /** The one of `metrics` that is read after all others have been rendered. */
  errorCount: PluginMetric
  clock: Clock
  onError: (metric: string, err: unknown) => void
}

/**
 * The host's prom-client registry, with the plugin's metrics registered in it.
 *
 * The plugin's metrics render themselves. A metric of the host may throw, reject, hang or return invalid data: then
 * it is left out, and all others are rendered.
 */
export class HostRegistry {
  readonly #registry: MetricRegistry
  readonly #metrics: ReadonlySet<RegisteredMetric>
  readonly #errorCount: PluginMetric
  readonly #collector: Collector
  readonly #onError: HostRegistryDeps['onError']

  /**
   * @throws FST_MC_METRIC_NAME_TAKEN when `registry` has a metric with one of the names; the registry stays unchanged
   * @throws FST_MC_INVALID_OPTION when `registry` is not a prom-client registry
   */
  constructor ({ registry, metrics, errorCount, clock, onError }: HostRegistryDeps) {
    this.#registry = asMetricRegistry(registry)
    this.#metrics = new Set(metrics)
    this.#errorCount = errorCount
    this.#collector = new Collector(clock)
    this.#onError = onError
    addMetrics(this.#registry, metrics)
  }

  /** The text of every metric in the registry, in the order of the registry; the error count comes last. */
  async render (format: Format): Promise<string[]> {
    const options = { format, defaultLabels: await this.#readDefaultLabels() }
    const registered = this.#registry.getMetricsAsArray()
    // All metrics are read in this synchronous run, so that all values are of one moment.
    const rendered = await Promise.all(registered
      .filter((metric) => metric !== this.#errorCount)
      .map((metric) => this.#render(metric, options)))
    const metrics = rendered.filter((metric) => metric !== undefined)
    if (registered.includes(this.#errorCount)) metrics.push(this.#renderErrorCount(options))
    return withoutClashes(metrics, format, this.#onError).map(({ text }) => text())
  }

  /** Removes the plugin's metrics from the registry. */
  close (): void {
    removeMetrics(this.#registry, this.#metrics)
  }

  /** A default label that would break every line is left out. */
  async #readDefaultLabels (): Promise<Labels> {
    const labels: Record<string, string> = {}
    for (const [name, value] of Object.entries(await readDefaultLabels(this.#registry))) {
      try {
        labels[name] = copyLabel(name, value)
      } catch (err) {
        this.#onError(`default label ${name}`, err)
      }
    }
    return labels
  }

  async #render (metric: RegisteredMetric, options: CopyOptions): Promise<RenderedMetric | undefined> {
    if (this.#isOwn(metric)) {
      const text = metric.render(options.format, options.defaultLabels)
      return { name: metric.name, type: metric.type, text: () => text }
    }
    const name = originalName(this.#registry, metric)
    try {
      const copy = copyMetric(await this.#collector.collect(metric), name, options)
      const text = await renderCopy(copy, options.format)
      return { name, type: copy.type, text: () => text }
    } catch (err) {
      this.#onError(name, err)
    }
  }

  // Rendered on demand, when all failures of the response body have been counted.
  #renderErrorCount ({ format, defaultLabels }: CopyOptions): RenderedMetric {
    const { name, type } = this.#errorCount
    return { name, type, text: () => this.#errorCount.render(format, defaultLabels) }
  }

  #isOwn (metric: RegisteredMetric): metric is PluginMetric {
    return this.#metrics.has(metric)
  }
}
