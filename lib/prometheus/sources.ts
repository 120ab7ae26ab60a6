import type { ChannelName } from '../../schemas/channels/index.js'
import type { HealthSnapshot } from '../../schemas/health.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import type { MissionTotals } from '../../schemas/mission.js'

/** Lifetime figures of one `component` and `operation`; `buckets[i]` counts durations up to `boundsMs[i]`, the last one all others too. */
export interface OperationSamples {
  component: string
  operation: string
  success: number
  error: number
  durationCount: number
  durationSumMs: number
  /** Not cumulative: one count a bucket, one more bucket than bounds. */
  buckets: readonly number[]
}

export interface OperationTotals {
  boundsMs: readonly number[]
  series: readonly OperationSamples[]
}

/** Durations by buckets, counted as those of `OperationSeries`. */
export interface DurationTotals { boundsMs: readonly number[], buckets: readonly number[], sumMs: number }

/** Counters of the hub beyond those of ws-metrics, by the reason or code they carry. */
export interface HubTotals {
  metrics: WsMetrics
  messagesReceivedTotal: number
  bytesSentTotal: number
  replacedTotal: number
  droppedTotal: number
  outboxBytes: number
  lagging: number
  laggedTotal: number
  laggingMs: number
  drainMs: number
  eventLoopDelayMs: number
  pingRoundTrip: DurationTotals
  fanOut: DurationTotals
  logged: { bytes: number, messages: number }
  outcomes: Readonly<Record<string, number>>
  gaps: Readonly<Record<string, number>>
  refused: Readonly<Record<string, number>>
  closed: Readonly<Record<string, number>>
  protocolErrors: Readonly<Record<string, number>>
  subscribers: ReadonlyMap<ChannelName, number>
}

/** What a scrape reads: the same domain objects that every other surface reads, each once a scrape. */
export interface ExpositionSources {
  missionTotals (): MissionTotals
  operations (): OperationTotals
  health (): HealthSnapshot
  hub (): HubTotals
  /** Failures of host callbacks that the plugin caught, by where they happened. */
  callbackErrors (): Readonly<Record<string, number>>
}
