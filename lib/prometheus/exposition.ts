import { Registry } from 'prom-client'
import type { Clock } from '../base/clock.js'
import { Collector } from './collector.js'
import { copyFamily, type Family } from './family.js'
import { addMetrics, asMetricRegistry, originalName, readDefaultLabels, removeMetrics, type MetricRegistry, type RegisteredMetric } from './registry.js'
import type { Labels } from './metric-definition.js'
import { chooseFormat, type Format } from './negotiation.js'
import { OwnMetric } from './metric.js'
import { renderPage, withoutClashes, type Page } from './page.js'
import { describeErrorCount, describePluginMetrics } from './metrics/plugin-metrics.js'
import { describeProcessMetrics } from './metrics/process-metrics.js'
import type { ExpositionSources } from './sources.js'

export interface ExpositionDeps {
  sources: ExpositionSources
  /** Start of the names of all metrics but the mission gauges. */
  prefix: string
  /** The host's prom-client registry; without one the metrics are in a private one. */
  registry?: object | undefined
  /** Adds prom-client's metrics of the process. */
  defaultMetrics: boolean
  clock: Clock
  /** Told of every metric that a scrape had to leave out, and why. */
  onCollectorError: (metric: string, err: unknown) => void
}

/**
 * The plugin's metrics, in a registry of their own or in the host's.
 *
 * They hold no figures: each scrape reads the domain, every source once. A metric of the host that throws, rejects,
 * hangs or answers nonsense is left out alone. Rendering changes nothing that is registered, and no setting of the
 * host's registry.
 */
export class Exposition {
  readonly #registry: MetricRegistry
  readonly #collector: Collector
  readonly #metrics: readonly OwnMetric[]
  readonly #errorCount: OwnMetric
  readonly #onCollectorError: (metric: string, err: unknown) => void
  #errors = 0

  /**
   * @throws FST_MC_METRIC_NAME_TAKEN when `registry` has a metric of one of the names; it then stays as it was
   * @throws FST_MC_INVALID_OPTION when `registry` is no prom-client registry
   */
  constructor ({ sources, prefix, registry = new Registry(), defaultMetrics, clock, onCollectorError }: ExpositionDeps) {
    this.#registry = asMetricRegistry(registry)
    this.#collector = new Collector(clock)
    this.#onCollectorError = onCollectorError
    const onError = (metric: string, err: unknown) => this.#reportError(metric, err)
    const definitions = [...describePluginMetrics(prefix, sources), ...(defaultMetrics ? describeProcessMetrics() : [])]
    this.#errorCount = new OwnMetric(describeErrorCount(prefix, () => this.#errors), onError)
    this.#metrics = [...definitions.map((definition) => new OwnMetric(definition, onError)), this.#errorCount]
    addMetrics(this.#registry, this.#metrics)
  }

  /**
   * The whole registry as one page, in the format that `accept` (an `Accept` header) prefers.
   * Takes at most about `COLLECTOR_TIMEOUT_MS`, however many metrics hang.
   */
  async render (accept?: string): Promise<Page> {
    const format = chooseFormat(accept)
    const families = await this.#collectFamilies(format)
    return await renderPage(withoutClashes(families, format, (metric, err) => this.#reportError(metric, err)), format)
  }

  /** Takes the plugin's metrics out of the registry. */
  close (): void {
    removeMetrics(this.#registry, this.#metrics)
  }

  async #collectFamilies (format: Format): Promise<Family[]> {
    const defaults = await readDefaultLabels(this.#registry)
    const collect = (metric: RegisteredMetric) => this.#collectFamily(metric, format, defaults)
    const metrics = this.#registry.getMetricsAsArray()
    const isErrorCount = (metric: RegisteredMetric) => metric === this.#errorCount
    const families = await Promise.all(metrics.filter((metric) => !isErrorCount(metric)).map(collect))
    // Asked when the others have answered, so that a page counts its own failures.
    families.push(...await Promise.all(metrics.filter(isErrorCount).map(collect)))
    return families.filter((family) => family !== undefined)
  }

  async #collectFamily (metric: RegisteredMetric, format: Format, defaults: Labels): Promise<Family | undefined> {
    const name = originalName(this.#registry, metric)
    try {
      return copyFamily(await this.#collector.collect(metric), name, format, defaults)
    } catch (err) {
      this.#reportError(name, err)
    }
  }

  #reportError (metric: string, err: unknown): void {
    this.#errors++
    this.#onCollectorError(metric, err)
  }
}
