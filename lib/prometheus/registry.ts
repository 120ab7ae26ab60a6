import { InvalidOption, MetricNameTaken } from '../base/errors.js'
import type { Labels } from './metric-definition.js'

/** A metric of anyone, as a registry holds it; what `get` gives is not to be trusted. */
export interface RegisteredMetric {
  name: string
  get (): unknown
}

/** The part of a prom-client registry that is used, so that no declaration of this package needs prom-client's types. */
export interface MetricRegistry {
  registerMetric (metric: RegisteredMetric): void
  removeSingleMetric (name: string): void
  getSingleMetric (name: string): RegisteredMetric | undefined
  getMetricsAsArray (): RegisteredMetric[]
  getMetricsAsJSON (): Promise<{ values: { labels: Labels }[] }[]>
}

const METHODS = ['registerMetric', 'removeSingleMetric', 'getSingleMetric', 'getMetricsAsArray', 'getMetricsAsJSON'] as const

/**
 * The registry that the host gave.
 * @throws FST_MC_INVALID_OPTION when it is something else
 */
export function asMetricRegistry (registry: object): MetricRegistry {
  const methods = registry as Record<string, unknown>
  if (METHODS.some((method) => typeof methods[method] !== 'function')) {
    throw new InvalidOption('prometheus.registry is an object, but must be a prom-client Registry')
  }
  return registry as MetricRegistry
}

/**
 * Adds all of `metrics` or none.
 * @throws FST_MC_METRIC_NAME_TAKEN with the first name that is taken
 */
export function addMetrics (registry: MetricRegistry, metrics: readonly RegisteredMetric[]): void {
  const taken = metrics.find(({ name }) => registry.getSingleMetric(name) !== undefined)
  if (taken !== undefined) throw new MetricNameTaken(taken.name)
  for (const metric of metrics) registry.registerMetric(metric)
}

/** Takes off those of `metrics` that are still there; one of the host's that has such a name by now stays. */
export function removeMetrics (registry: MetricRegistry, metrics: readonly RegisteredMetric[]): void {
  for (const metric of metrics) {
    if (registry.getSingleMetric(metric.name) === metric) registry.removeSingleMetric(metric.name)
  }
}

/** The name a metric was made with: a registry that rendered OpenMetrics once has taken `_total` off it for good. */
export function originalName (registry: MetricRegistry, metric: RegisteredMetric): string {
  const withTotal = `${metric.name}_total`
  return registry.getSingleMetric(withTotal) === metric ? withTotal : metric.name
}

/** Labels that the registry adds to every line. It shows them only on metrics, so one is asked that it does not hold. */
export async function readDefaultLabels (registry: MetricRegistry): Promise<Labels> {
  const probe = { name: 'probe', get: () => ({ values: [{ labels: {}, value: 0 }] }) }
  const view: MetricRegistry = Object.create(registry, { getMetricsAsArray: { value: () => [probe] } })
  const [answer] = await view.getMetricsAsJSON()
  return answer!.values[0]!.labels
}
