import type { ChannelName, LoggedChannel } from '../../schemas/channels/index.js'

// Importing these lists from the schemas would bundle all schemas into the page.

/** Channels with a message log, so that missed messages can be replayed. */
export const LOGGED = ['health_delta', 'mission_update', 'anomaly_alert'] as const satisfies readonly LoggedChannel[]
export const CHANNELS = [...LOGGED, 'metrics_tick', 'mission_stats'] as const satisfies readonly ChannelName[]

type Includes<List extends readonly unknown[], All> = [All] extends [List[number]] ? true : false
type Assert<Condition extends true> = Condition
/** Fails to compile when a list lacks a channel of the schemas. */
export type ListsAreComplete = [
  Assert<Includes<typeof LOGGED, LoggedChannel>>, Assert<Includes<typeof CHANNELS, ChannelName>>
]
