import { InvalidOption, MetricNameTaken } from '../../base/errors.js'

/** A metric of the host or of the plugin, as a registry holds it. What `get` returns is not trusted. */
export interface RegisteredMetric {
  name: string
  get (): unknown
}

/** The part of a prom-client registry that is used. Public declarations need no types of prom-client this way. */
export interface MetricRegistry {
  registerMetric (metric: RegisteredMetric): void
  removeSingleMetric (name: string): void
  getSingleMetric (name: string): RegisteredMetric | undefined
  getMetricsAsArray (): RegisteredMetric[]
  getMetricsAsJSON (): Promise<{ values: { labels: Record<string, unknown> }[] }[]>
}

const METHODS = [
  'registerMetric', 'removeSingleMetric', 'getSingleMetric', 'getMetricsAsArray', 'getMetricsAsJSON'
] as const satisfies ReadonlyArray<keyof MetricRegistry>

/**
 * Checks the registry that the host passed.
 * @throws FST_MC_INVALID_OPTION when it lacks a method
 */
export function asMetricRegistry (registry: object): MetricRegistry {
  const methods = registry as Record<string, unknown>
  if (METHODS.some((method) => typeof methods[method] !== 'function')) {
    throw new InvalidOption('prometheus.registry is an object, but must be a prom-client Registry')
  }
  return registry as MetricRegistry
}

/**
 * Registers all of `metrics` or none.
 * @throws FST_MC_METRIC_NAME_TAKEN with the first name that is taken
 */
export function addMetrics (registry: MetricRegistry, metrics: readonly RegisteredMetric[]): void {
  const taken = metrics.find(({ name }) => registry.getSingleMetric(name) !== undefined)
  if (taken !== undefined) throw new MetricNameTaken(taken.name)
  for (const metric of metrics) registry.registerMetric(metric)
}

/** Removes those of `metrics` that are still registered; a metric of the host that now has one of the names stays. */
export function removeMetrics (registry: MetricRegistry, metrics: Iterable<RegisteredMetric>): void {
  for (const metric of metrics) {
    if (registry.getSingleMetric(metric.name) === metric) registry.removeSingleMetric(metric.name)
  }
}

/** The name that a metric was created with: a registry that renders OpenMetrics removes `_total` from it for good. */
export function originalName (registry: MetricRegistry, metric: RegisteredMetric): string {
  const withTotal = `${metric.name}_total`
  return registry.getSingleMetric(withTotal) === metric ? withTotal : metric.name
}

/** The labels that the registry adds to every line. It exposes them only on metrics, so a probe metric is read. */
export async function readDefaultLabels (registry: MetricRegistry): Promise<Record<string, unknown>> {
  const probe = { name: 'probe', get: () => ({ values: [{ labels: {}, value: 0 }] }) }
  const view: MetricRegistry = Object.create(registry, { getMetricsAsArray: { value: () => [probe] } })
  const [metric] = await view.getMetricsAsJSON()
  return metric!.values[0]!.labels
}
