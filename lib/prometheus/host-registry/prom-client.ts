import { CONTENT_TYPES, type Format } from '../negotiation.js'
import type { CopiedMetric } from './copied-metric.js'

/**
 * Renders a metric of the host with prom-client, in a registry of its own because rendering changes a registry.
 * prom-client takes about 80 ms to load, so a plugin without a registry of the host never loads it.
 */
export async function renderCopy (metric: CopiedMetric, format: Format): Promise<string> {
  const { Registry } = await import('prom-client')
  const registry = new Registry<typeof CONTENT_TYPES[Format]>()
  registry.setContentType(CONTENT_TYPES[format])
  const metrics: { registerMetric (metric: object): void } = registry
  metrics.registerMetric({ name: metric.name, type: metric.type, get: () => metric })
  return await registry.getSingleMetricAsString(metric.name)
}
