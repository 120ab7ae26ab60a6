import type { ChannelName } from '../../schemas/channels/index.js'
import type { HealthSnapshot } from '../../schemas/health.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import type { MissionTotals } from '../../schemas/mission.js'
import type { MissionMeasured, NamedCounts } from '../missions/index.js'
import type { AlertTotals, HealthTransitionCount, OperationTotals } from '../monitoring/index.js'
import type { Durations } from './samples.js'

/** Totals of the hub, including those of ws-metrics. The keys of the records are reasons, causes or codes. */
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
  pingRoundTrip: Durations
  fanOut: Durations
  logged: { bytes: number, messages: number }
  outcomes: Readonly<Record<string, number>>
  gaps: Readonly<Record<string, number>>
  refused: Readonly<Record<string, number>>
  closed: Readonly<Record<string, number>>
  protocolErrors: Readonly<Record<string, number>>
  subscribers: ReadonlyMap<ChannelName, number>
  /** The total sent to all connections, by channel. */
  sent: ReadonlyArray<readonly [channel: string, counts: { messages: number, bytes: number }]>
  /** The time from the report of a message until it was written, by class of delivery. */
  delays: Readonly<Record<string, Durations>>
}

/** Starts, endings and durations of missions, and the age of the oldest active one. */
export interface MissionMeasurements extends MissionMeasured { oldestActiveMs: number }

/** The measures of missions by name. */
export type MissionsByName = readonly NamedCounts[]

/** Which versions run. */
export interface BuildInfo { version: string, protocolVersion: number, serviceVersion: string }

/** Counts of missions by reason, by kind of cancel, and of texts that were cut by field. */
export interface MissionCounts {
  untracked: Readonly<Record<string, number>>
  cancelled: Readonly<Record<string, number>>
  cut: Readonly<Record<string, number>>
  /** The durations of all ended missions together. */
  durationSumMs: number
}

/** Counts of missions by the name of their tenant. */
export type CountsByTenant = ReadonlyArray<readonly [
  tenant: string, counts: Pick<MissionTotals, 'active' | 'completed' | 'cancelled' | 'errors'>
]>

/** How this process gets along with the backplane. */
export interface BackplaneTotals {
  isAway: boolean
  /** Steps that wait for the log. */
  waiting: number
  droppedSteps: number
  droppedEndings: number
  brokenEntries: number
  /** Processes that are alive. */
  instances: number
}

/** The domain objects that a scrape reads. They are the same objects that all other routes read. */
export interface ExpositionSources {
  missionTotals (): MissionTotals
  missionCounts (): MissionCounts
  missionMeasures (): MissionMeasurements
  /** Only for the names that are asked for. */
  missionsByName?: (() => MissionsByName) | undefined
  /** Only if the metrics of tenants are asked for. */
  tenantCounts?: (() => CountsByTenant) | undefined
  operations (): OperationTotals
  health (): HealthSnapshot
  healthTransitions (): readonly HealthTransitionCount[]
  /** Only if the plugin evaluates alert rules. */
  alerts?: (() => AlertTotals) | undefined
  hub (): HubTotals
  /** Only with a backplane. */
  backplane?: (() => BackplaneTotals) | undefined
  build (): BuildInfo
  /** Errors of host callbacks that the plugin caught, counted by callback. */
  callbackErrors (): Readonly<Record<string, number>>
}
