import type { ChannelName, LoggedChannel } from '../../../schemas/channels/index.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { ServerMessage } from '../../../schemas/messages/server-messages.js'
import { createTimeout } from '../connection/platform.js'
import { isTemporary, refusal, type ServiceError } from '../connection/requests.js'
import type { ClientContext } from '../context.js'
import type { ClientError } from '../errors.js'
import { createCatchUp, type CatchUpEvents } from './catch-up.js'
import { createDelivery, type ChannelMessage } from './delivery.js'
import { sendSubscribe } from './subscribe.js'
import type { SubscribedChannel } from './subscribed-channel.js'

export interface ChannelEvents extends CatchUpEvents {
  onCursorMoved: () => void
  /** The service refuses the subscription. */
  onRefused: (error: ClientError) => void
}

/** One channel of a client: its cursor, and which of its messages reach the listeners. */
export function createSubscribedChannel (
  context: ClientContext, name: ChannelName, cursor: Cursor | undefined, events: ChannelEvents
): SubscribedChannel {
  const isFiltered = context.filter !== undefined && name === 'mission_update'

  function onAnswer (message: ServerMessage): void {
    const asked = channel.asked!
    if ('error' in message) {
      const error: ServiceError = message.error
      // Without a position, the error is about every channel.
      if (error.position !== undefined && asked.channels[error.position] !== name) return
      if (isTemporary(error)) {
        return channel.retry(error.retryAfterMs, () => sendSubscribe(context, [channel], asked.endings))
      }
      events.onRefused(refusal(error))
      catchUp.begin({})
    } else if (message.type === 'subscription_ack' && message.payload.channel === name) {
      const { gap, outcome } = message.payload
      if (gap) context.emit('gap', { channel: name, ...gap })
      catchUp.begin(message.payload, outcome !== 'resumed' || asked.snapshot)
    }
  }

  const channel: SubscribedChannel = {
    name,
    cursor,
    isReady: false,
    remaining: 0,
    retry: createTimeout(context.clock),
    receive (message) {
      // Before the ack, everything else belongs to an earlier subscription.
      if (channel.remaining < 0) {
        if (message.replyTo === channel.asked!.id) onAnswer(message)
      } else if (message.type === 'heartbeat') {
        delivery.onHead(message.heads?.[name as LoggedChannel])
      } else if (message.type === 'subscription_gap' && message.payload.channel === name) {
        context.emit('gap', message.payload)
        catchUp.begin(message.payload, true)
      // A reply, even a late one, belongs to its request.
      } else if (message.type === name && !message.replyTo) {
        if (channel.remaining) catchUp.add(message as ChannelMessage)
        else delivery.receive(message as ChannelMessage)
      }
    }
  }
  const delivery = createDelivery(context, channel, isFiltered, events.onCursorMoved)
  const catchUp = createCatchUp(context, channel, isFiltered, delivery, events)
  return channel
}
