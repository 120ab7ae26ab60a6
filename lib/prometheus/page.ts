import { openMetricsContentType, prometheusContentType, Registry, type RegistryContentType } from 'prom-client'
import { MetricNameClash } from '../base/errors.js'
import { namesOnPage, type Family } from './family.js'
import type { Format } from './negotiation.js'

/** One rendered page and its `Content-Type`. */
export interface Page { contentType: string, body: string }

/**
 * Those of `families` that can stand on one page. Counters get another name in OpenMetrics and histograms have lines with
 * names of their own, so two metrics that a registry holds side by side can still meet; the later one goes to `onClash`.
 */
export function withoutClashes (families: readonly Family[], format: Format, onClash: (metric: string, err: Error) => void): Family[] {
  const taken = new Set<string>()
  return families.filter((family) => {
    const names = namesOnPage(family, format)
    const clash = names.find((name) => taken.has(name))
    if (clash !== undefined) {
      onClash(family.name, new MetricNameClash(clash))
      return false
    }
    for (const name of names) taken.add(name)
    return true
  })
}

/** Renders `families` in a registry of their own, since rendering changes the metrics and the registry it works on. */
export async function renderPage (families: readonly Family[], format: Format): Promise<Page> {
  const registry = new Registry<RegistryContentType>()
  registry.setContentType(format === 'openmetrics' ? openMetricsContentType : prometheusContentType)
  const metrics: { registerMetric (metric: object): void } = registry
  for (const family of families) metrics.registerMetric({ name: family.name, type: family.type, get: () => family })
  return { contentType: registry.contentType, body: await registry.metrics() }
}
