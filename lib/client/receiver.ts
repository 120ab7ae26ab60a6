import type { ServerMessage } from '../../schemas/messages/server-messages.js'
import { isTemporary, refusal, type Requests } from './connection/requests.js'
import type { ClientContext } from './context.js'
import { ClientError } from './errors.js'
import type { Waiters } from './missions/waiters.js'

const PROTOCOL_VERSION = 1

/** Creates the function that receives the text of every message of one connection. */
export function createReceiver (
  context: ClientContext, requests: Requests, waiters: Waiters
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
    if (requests.answer(message)) return
    if (message.type === 'heartbeat') context.heartbeatMs = message.intervalMs ?? context.heartbeatMs
    if (message.type === 'server_draining') context.reconnectAt = clock.monotonic() + message.payload.retryAfterMs
    if (message.type === 'auth_expiring') context.renew()
    if (message.type === 'subscription_revoked') {
      emit('error', new ClientError('REFUSED', message.payload.channel, undefined, message.type))
    }
    // A channel subscribes again by itself.
    if ('error' in message && !isTemporary(message.error)) emit('error', refusal(message.error))
    for (const channel of context.subscriptions) channel.receive(message)
    if (message.type === 'heartbeat') waiters.onHeartbeat()
  }

  return (text) => {
    try {
      receive(JSON.parse(text as string) as ServerMessage)
    } catch (cause) {
      emit('error', new ClientError('BAD_MESSAGE', String(text), cause))
    }
  }
}
