import type { Clock } from '../base/clock.js'
import { HostRegistry } from './host-registry/host-registry.js'
import { describeSections } from './metrics/plugin-metrics.js'
import { describeScrape } from './metrics/process-metrics.js'
import { chooseFormat, CONTENT_TYPES } from './negotiation.js'
import { PluginMetric } from './plugin-metric.js'
import { joinMetrics } from './renderer.js'
import type { ExpositionSources } from './sources.js'

export interface ExpositionDeps {
  sources: ExpositionSources
  /** Prefix of all metric names except those of the mission gauges. */
  prefix: string
  /** The host's prom-client registry. */
  registry?: object | undefined
  clock: Clock
  /** Called for every metric that a scrape left out, with the reason. */
  onCollectorError: (metric: string, err: unknown) => void
}

/** A response body and its `Content-Type`. */
export interface ExpositionResponse { contentType: string, body: string }

/**
 * The plugin's metrics for Prometheus. They store no values: a scrape reads each domain object once, at one moment.
 *
 * If the host has a prom-client registry, the plugin's metrics are registered in it, and the response body contains the
 * host's metrics too. Rendering changes neither those metrics nor any setting of the registry.
 */
export class Exposition {
  readonly #metrics: readonly PluginMetric[]
  readonly #hostRegistry: HostRegistry | undefined
  readonly #clock: Clock
  #errors = 0
  #durationMs = 0

  /**
   * @throws FST_MC_METRIC_NAME_TAKEN when `registry` has a metric with one of the names; the registry stays unchanged
   * @throws FST_MC_INVALID_OPTION when `registry` is not a prom-client registry
   */
  constructor ({ sources, prefix, registry, clock, onCollectorError }: ExpositionDeps) {
    const onError = (metric: string, err: unknown) => {
      this.#errors++
      onCollectorError(metric, err)
    }
    this.#clock = clock
    const [duration, errors] = describeScrape(prefix, () => ({ durationMs: this.#durationMs, errors: this.#errors }))
    const definitions = [...describeSections(prefix, sources).flatMap((section) => section.metrics), duration]
    const errorCount = new PluginMetric(errors, onError)
    // The error count is read last, so that a response body counts its own failures.
    this.#metrics = [...definitions.map((definition) => new PluginMetric(definition, onError)), errorCount]
    if (registry === undefined) return
    this.#hostRegistry = new HostRegistry({ registry, metrics: this.#metrics, errorCount, clock, onError })
  }

  /**
   * Renders all metrics in the format that `accept`, an `Accept` header, prefers.
   * Metrics of the host that hang delay it by at most about `COLLECTOR_TIMEOUT_MS` together.
   */
  async render (accept?: string): Promise<ExpositionResponse> {
    const format = chooseFormat(accept)
    const startedMs = this.#clock.monotonic()
    const metrics = this.#hostRegistry === undefined
      ? this.#metrics.map((metric) => metric.render(format))
      : await this.#hostRegistry.render(format)
    const body = joinMetrics(metrics, format)
    this.#durationMs = this.#clock.monotonic() - startedMs
    return { contentType: CONTENT_TYPES[format], body }
  }

  /** Removes the plugin's metrics from the host's registry. */
  close (): void {
    this.#hostRegistry?.close()
  }
}
