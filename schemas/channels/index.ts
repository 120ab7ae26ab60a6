import type { Static } from '@sinclair/typebox'
import { AnomalyAlert } from './anomaly-alert.js'
import { HealthDelta } from './health-delta.js'
import { MetricsTick } from './metrics-tick.js'
import { MissionStats } from './mission-stats.js'
import { MissionUpdate } from './mission-update.js'

/**
 * Every channel and the payload of its messages. Names, types, validation, JSON Schema and `whoami` are derived from
 * this list.
 */
export const CHANNEL_PAYLOADS = {
  metrics_tick: MetricsTick,
  health_delta: HealthDelta,
  mission_stats: MissionStats,
  mission_update: MissionUpdate,
  anomaly_alert: AnomalyAlert
} as const

export type ChannelName = keyof typeof CHANNEL_PAYLOADS
export type ChannelPayloads = { [Name in ChannelName]: Static<(typeof CHANNEL_PAYLOADS)[Name]> }

export const CHANNEL_NAMES = Object.keys(CHANNEL_PAYLOADS) as ChannelName[]

/**
 * Channels with a history: their reliable messages are kept for a while, so that a reconnecting client can receive
 * them. These messages have positions, their subscriptions can be resumed, and each heartbeat carries their last
 * positions.
 */
export const LOGGED_CHANNELS = [
  'health_delta', 'mission_update', 'anomaly_alert'
] as const satisfies readonly ChannelName[]
export type LoggedChannel = (typeof LOGGED_CHANNELS)[number]
