import type { ChannelName, LoggedChannel } from '../../schemas/channels/index.js'

// Loading the lists of the protocol would bring all schemas along; the compiler sees to it that these are as complete.
const logged = ['health_delta', 'mission_update', 'anomaly_alert'] as const satisfies readonly LoggedChannel[]
const channels = [...logged, 'metrics_tick', 'mission_stats'] as const satisfies readonly ChannelName[]
type Complete<Names extends readonly unknown[], All> = [All] extends [Names[number]] ? Names : never

/** The channels whose messages can be had later. */
export const LOGGED: Complete<typeof logged, LoggedChannel> = logged
/** All channels. */
export const CHANNELS: Complete<typeof channels, ChannelName> = channels
