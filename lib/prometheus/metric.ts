export type Labels = Readonly<Record<string, string>>

/** The name suffixes of the lines of a histogram. */
export type SampleSuffix = '_bucket' | '_sum' | '_count'

/** A single measured value with the trace that it comes from. `at` is in ms since 1970. */
export interface Exemplar { traceId: string, value: number, at: number }

/**
 * One line of a metric: its value, its labels, and in a histogram the suffix of its name. A bucket may have an
 * exemplar.
 */
export interface Sample { labels: Labels, value: number, suffix?: SampleSuffix, exemplar?: Exemplar | undefined }

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary'

/** How a cluster of processes aggregates a metric, in prom-client's words. */
export type Aggregator = 'omit' | 'sum' | 'first' | 'min' | 'max' | 'average'

/** The description of a metric on the reference page, beside its name, type and help. */
export interface MetricReference {
  /** The names of its labels. */
  labels?: readonly string[]
  /** How many series it has at most; of a histogram, how many distributions. A plain number is exact. 1 if absent. */
  series?: string
  /** An example of a query; `METRIC` stands for the name of the metric. */
  query: string
}

/** One metric of the plugin. `read` takes fresh samples from the domain on every scrape. */
export interface MetricDefinition extends MetricReference {
  /** The name of a counter ends in `_total`. */
  name: string
  help: string
  type: MetricType
  aggregator: Aggregator
  read (): readonly Sample[]
}

/** A metric in a table of metrics that share a source. A number stands for one sample without labels. */
export interface MetricRow<Source> extends MetricReference {
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
  return rows.map(({ name, aggregator = 'sum', read, ...row }) => ({
    ...row,
    name: prefix + name,
    aggregator,
    read: () => {
      const value = read(source())
      return typeof value === 'number' ? [{ labels: {}, value }] : value
    }
  }))
}
