import { CHANNEL_NAMES } from '../../schemas/channels/index.js'
import type { ClientMessageType } from '../../schemas/messages/client-messages.js'
import type { ServerMessageType } from '../../schemas/messages/server-messages.js'

/** The possible replies to each message of a client. A reply carries the `id` of its request as `replyTo`. */
export const REPLIES: Readonly<Record<ClientMessageType, readonly ServerMessageType[]>> = {
  subscribe: ['subscription_ack', 'subscription_error', 'protocol_error'],
  unsubscribe: ['subscription_ack', 'subscription_error', 'protocol_error'],
  ping: ['pong', 'protocol_error'],
  whoami: ['whoami', 'protocol_error'],
  mission_start: ['mission_ack', 'protocol_error'],
  mission_cancel: ['mission_ack', 'protocol_error'],
  mission_get: ['mission_update', 'protocol_error'],
  anomaly_history: ['anomaly_history', 'protocol_error'],
  mission_list: ['mission_list', 'protocol_error'],
  auth_refresh: ['auth_refreshed', 'protocol_error']
}

/** The messages that the service sends without a request. */
export const UNSOLICITED: readonly ServerMessageType[] = [
  ...CHANNEL_NAMES, 'subscription_gap', 'server_draining', 'auth_expiring', 'subscription_revoked', 'heartbeat',
  'protocol_error'
]
