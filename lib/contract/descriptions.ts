import type { ChannelName } from '../../schemas/channels/index.js'
import type { ClientMessageType } from '../../schemas/messages/client-messages.js'
import type { ServerMessageType } from '../../schemas/messages/server-messages.js'

/** What a client asks for with each message, and what the service answers. */
export const CLIENT_MESSAGE_TEXTS: Readonly<Record<ClientMessageType, string>> = {
  subscribe: 'Asks for the messages of channels. Each channel is acknowledged on its own; `since` asks for what came after a cursor, `filter` narrows `mission_update`, `snapshot` asks for the present state in any case.',
  unsubscribe: 'Asks for no more messages of channels. Nothing of a channel comes after its ack.',
  ping: 'Asks for a `pong`.',
  whoami: 'Asks who the service is, which channels it has and which commands it takes.',
  mission_start: 'Asks the service to start work; what the command means is its own affair. With an `id`, the same command sent again starts nothing new.',
  mission_cancel: 'Asks a mission to end. It ends when its work does, at the latest after a grace period.',
  mission_get: 'Asks where one mission is, also after it has ended.'
}

/** When the service sends each message. */
export const SERVER_MESSAGE_TEXTS: Readonly<Record<ServerMessageType, string>> = {
  metrics_tick: 'An operation of the service ended: how long operations took of late. Replaceable.',
  health_delta: 'The health of the service changed. Must arrive.',
  mission_stats: 'Totals over all missions, at intervals. Replaceable.',
  mission_update: 'One step of one mission. Plain progress is replaceable, all else must arrive. With `replyTo` it is the answer to `mission_get`.',
  anomaly_alert: 'An alert began, changed its severity or ended. Must arrive.',
  subscription_ack: 'A subscription to one channel began or ended. For a new one `outcome` says how the client is brought up to date, with `messages` more messages up to `asOf`.',
  subscription_error: 'Some of the channels are unknown, or not for this client; the others were carried out.',
  mission_ack: 'A start or a cancel was accepted. The ack of a start comes before the first update of its mission.',
  subscription_gap: 'Messages of a channel are missing, because the client did not read in time; `messages` messages with the present state follow.',
  server_draining: 'The connection is about to be closed; come back after `retryAfterMs`.',
  heartbeat: 'The connection is alive; the next one comes after `intervalMs`. `heads` are the last positions of the subscribed channels.',
  pong: 'The answer to a `ping`.',
  whoami: 'The answer to a `whoami`.',
  protocol_error: 'A message of the client was wrong or could not be carried out. The connection stays open, unless a close follows.'
}

/** What the payload of each channel is. */
export const PAYLOAD_TEXTS: Readonly<Record<ChannelName, string>> = {
  metrics_tick: 'Latency of the operations of the last `windowMs`, in ms; all 0 when nothing was measured.',
  health_delta: 'The health and its components; `snapshot` marks the state that a new subscriber gets.',
  mission_stats: 'Counts of all missions since the service started; `total` is the sum of active, completed, cancelled and errors.',
  mission_update: 'Where one mission is. `seq` counts its steps from 1; after `completed`, `cancelled` or `error` no step follows. Times are in ms since 1970.',
  anomaly_alert: 'One alert; `alertId` stays the same from its begin to its end.'
}
