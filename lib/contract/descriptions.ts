import type { ChannelName } from '../../schemas/channels/index.js'
import type { ClientMessageType } from '../../schemas/messages/client-messages.js'
import type { ServerMessageType } from '../../schemas/messages/server-messages.js'

/** What each message of a client requests, and how the service reacts. */
export const CLIENT_MESSAGE_TEXTS: Readonly<Record<ClientMessageType, string>> = {
  subscribe: 'Subscribes to channels. Each channel is acknowledged separately. `since` requests the messages after ' +
    'a cursor, `filter` and `endings` apply to `mission_update`, `snapshot` requests the current state in any case.',
  unsubscribe: 'Unsubscribes from channels. No message of a channel follows its ack.',
  ping: 'Requests a `pong`.',
  whoami: 'Requests the name of the service, its channels, the commands that it supports, and its limits.',
  mission_start: 'Requests that the service starts a mission. The service defines what the command means. If an ' +
    '`id` is given, sending the command again starts no second mission.',
  mission_cancel: 'Requests that a mission is cancelled. It ends when its work ends, at the latest after a grace ' +
    'period.',
  mission_get: 'Requests the current state of one mission. This also works for a while after the mission has ended.',
  anomaly_history: 'Requests the last alerts, newest first. Without `limit`, up to 50.',
  mission_list: 'Requests one page of active and ended missions, newest first.',
  auth_refresh: 'Presents a new token before the one of the connection expires.'
}

/** When the service sends each message. */
export const SERVER_MESSAGE_TEXTS: Readonly<Record<ServerMessageType, string>> = {
  metrics_tick: 'An operation of the service has ended. The payload has the current latency percentiles. Replaceable.',
  health_delta: 'The health of the service changed. Reliable.',
  mission_stats: 'Totals over all missions, sent at a fixed interval. Replaceable.',
  mission_update: 'One update of one mission. Progress updates are replaceable, all others reliable. With `replyTo` ' +
    'it is the reply to a `mission_get`.',
  anomaly_alert: 'An alert was fired, changed its severity or was resolved, or is repeated as a reminder. Reliable.',
  subscription_ack: 'A subscription to one channel started or ended. When it started, `outcome` says how the client ' +
    'catches up: `messages` messages follow, and lead to the state of `asOf`.',
  subscription_error: 'One of the requested channels is unknown or forbidden. The request applies to the others.',
  mission_ack: 'A start or a cancel was accepted. The ack of a start comes before the first update of its mission.',
  anomaly_history: 'The reply to an `anomaly_history`: the last alerts that the client may see.',
  mission_list: 'The reply to a `mission_list`: one page of missions.',
  subscription_gap: 'Messages of a channel are missing, because the client read too slowly. `messages` messages ' +
    'with the current state follow.',
  server_draining: 'The connection is about to be closed. Reconnect after `retryAfterMs`.',
  auth_expiring: 'The token of the client expires in `inMs`. Send `auth_refresh` with a new one to stay connected.',
  auth_refreshed: 'The reply to an `auth_refresh`: the new token was accepted.',
  subscription_revoked: 'The client may not receive this channel any more, and is no longer subscribed to it.',
  heartbeat: 'The connection is alive. The next heartbeat follows after `intervalMs`; `heads` are the last ' +
    'positions of the subscribed channels.',
  pong: 'The reply to a `ping`.',
  whoami: 'The reply to a `whoami`.',
  protocol_error: 'A message of the client was invalid or failed. The connection stays open, unless a close frame ' +
    'follows.'
}

/** The payload of each channel. */
export const PAYLOAD_TEXTS: Readonly<Record<ChannelName, string>> = {
  metrics_tick: 'Latency percentiles of the operations of the last `windowMs`, in ms; all 0 if there were none.',
  health_delta: 'The health with its components. `snapshot` marks the current state, which a new subscriber ' +
    'receives first.',
  mission_stats: 'Totals over all missions since the service started. `total` is the sum of `active`, `completed`, ' +
    '`cancelled` and `errors`.',
  mission_update: 'The state of one mission. `seq` counts its updates from 1; no update follows `completed`, ' +
    '`cancelled` or `error`. Times are in ms since 1970.',
  anomaly_alert: 'One alert. Its `alertId` is constant from the first `firing` to `resolved`.'
}
