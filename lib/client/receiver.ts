import type { ServerMessage } from '../../schemas/messages/server-messages.js'
import { refusal, type Requests } from './connection/requests.js'
import type { ClientContext } from './context.js'
import { ClientError } from './errors.js'
import type { Waiters } from './missions/waiters.js'
import type { ClientSubscriptions } from './subscriptions/subscriptions.js'

const PROTOCOL_VERSION = 1

/** Creates the function that receives the text of every message of one connection. */
export function createReceiver (
  context: ClientContext, requests: Requests, subscriptions: ClientSubscriptions, waiters: Waiters
): (text: unknown) => void {
  const { clock, emit } = context
  let isVersionReported = false

  function receive (message: ServerMessage): void {
    const protocolVersion: number = message.protocolVersion
    if (protocolVersion > PROTOCOL_VERSION && !isVersionReported) {
      isVersionReported = true
      emit('version', { protocolVersion })
    }
    // Before `start` resolves, because its caller may wait for the mission before the first update arrives.
    if (message.type === 'mission_ack') waiters.onStarted(message.payload.missionId)
    if (!requests.answer(message)) dispatch(message)
  }

  function dispatch (message: ServerMessage): void {
    const isHeartbeat = message.type === 'heartbeat'
    if (isHeartbeat) context.heartbeatMs = message.intervalMs ?? context.heartbeatMs
    if (message.type === 'server_draining') context.reconnectAt = clock.monotonic() + message.payload.retryAfterMs
    if ('error' in message) emit('error', refusal(message.error))
    subscriptions.receive(message)
    if (isHeartbeat) waiters.onHeartbeat()
  }

  return (text) => {
    try {
      receive(JSON.parse(text as string) as ServerMessage)
    } catch (cause) {
      emit('error', new ClientError('BAD_MESSAGE', String(text), cause))
    }
  }
}
