export type Labels = Readonly<Record<string, string>>

/** The name suffixes of the lines of a histogram. */
export type SampleSuffix = '_bucket' | '_sum' | '_count'

/** One line of a metric: its value, its labels, and in a histogram the suffix of its name. */
export interface Sample { labels: Labels, value: number, suffix?: SampleSuffix }

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary'

/** How a cluster of processes aggregates a metric, in prom-client's words. */
export type Aggregator = 'omit' | 'sum' | 'first' | 'min' | 'max' | 'average'

/** One metric of the plugin. `read` takes fresh samples from the domain on every scrape. */
export interface MetricDefinition {
  /** The name of a counter ends in `_total`. */
  name: string
  help: string
  type: MetricType
  aggregator: Aggregator
  read (): readonly Sample[]
}

/** A metric in a table of metrics that share a source. A number stands for one sample without labels. */
export interface MetricRow<Source> {
  name: string
  help: string
  type: MetricType
  /** `sum` if absent. */
  aggregator?: Aggregator
  read (source: Source): number | readonly Sample[]
}

/** The definitions of a table of metrics, each named with `prefix` and read from `source`. */
export function defineMetrics<Source> (
  prefix: string, source: () => Source, rows: ReadonlyArray<MetricRow<Source>>
): MetricDefinition[] {
  return rows.map(({ name, help, type, aggregator = 'sum', read }) => ({
    name: prefix + name,
    help,
    type,
    aggregator,
    read: () => {
      const value = read(source())
      return typeof value === 'number' ? [{ labels: {}, value }] : value
    }
  }))
}
