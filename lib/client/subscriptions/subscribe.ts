import type { ChannelName } from '../../../schemas/channels/index.js'
import type { ClientMessages } from '../../../schemas/messages/client-messages.js'
import type { ClientContext } from '../context.js'
import { cursorsOf } from './cursors.js'
import type { SubscribedChannel } from './subscribed-channel.js'

/**
 * Sends one `subscribe` for these channels; each resumes from its cursor if it has one. `endings` is the number of
 * newest endings to request, for `mission_update` without a cursor.
 */
export function sendSubscribe (
  context: ClientContext, channels: readonly SubscribedChannel[], endings?: number
): void {
  const { filter, latency, makeId, send } = context
  // After a reload there is a cursor, but not the state that belongs to it.
  const snapshot = channels.some(({ cursor, isReady }) => cursor && !isReady)
  const only = <Value>(channel: ChannelName, value: Value): Value | undefined =>
    channels.some(({ name }) => name === channel) ? value : undefined
  // JSON omits properties that are undefined.
  const message = {
    type: 'subscribe',
    id: makeId(),
    channels: channels.map(({ name }) => name),
    since: channels.some(({ cursor }) => cursor) ? cursorsOf(channels) : undefined,
    filter: only('mission_update', filter),
    latency: only('metrics_tick', latency),
    snapshot: snapshot || undefined,
    endings
  } as ClientMessages['subscribe']
  for (const channel of channels) {
    channel.asked = message
    channel.remaining = -1
  }
  send(message)
}
