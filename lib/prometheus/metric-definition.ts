export type Labels = Readonly<Record<string, string>>

/** One line of an exposition; `metricName` stands in histograms and summaries, whose lines have names of their own. */
export interface Sample {
  labels: Labels
  value: number
  metricName?: string
}

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary'

/** How a cluster of processes makes one figure of many, in prom-client's words. */
export type Aggregator = 'omit' | 'sum' | 'first' | 'min' | 'max' | 'average'

/** One metric: how it is announced, and a `read` that takes fresh samples from the domain at every scrape. */
export interface MetricDefinition {
  name: string
  help: string
  type: MetricType
  aggregator: Aggregator
  read (): readonly Sample[] | Promise<readonly Sample[]>
}
