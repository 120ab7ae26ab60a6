import { code, table } from './tables.mjs'

const PREFIX = 'mission_control_'

/** One table for each section of the metrics. Optional sources are all there, and none of them is read. */
export function metricsTables (describeSections, describeScrape) {
  const unread = () => { throw new Error('the reference needs no values') }
  const sources = new Proxy({}, { get: () => unread })
  const sections = describeSections(PREFIX, sources)
  sections.at(-1).metrics.push(...describeScrape(PREFIX, unread))
  return sections.map(({ title, metrics }) => `### ${title}\n\n${metricsTable(metrics)}`).join('\n\n')
}

function metricsTable (metrics) {
  const rows = metrics.map(({ name, type, labels = [], help, series = '1', query }) =>
    [code(name), type, labels.map(code).join(', '), help, series, code(query.replaceAll('METRIC', name))])
  return table(['Metric', 'Type', 'Labels', 'Meaning', 'Series', 'Example'], rows)
}
