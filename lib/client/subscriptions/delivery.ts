import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Cursor, StreamPosition } from '../../../schemas/messages/envelope.js'
import type { ServerMessages } from '../../../schemas/messages/server-messages.js'
import type { ClientContext } from '../context.js'
import { pick } from './cursors.js'
import { sendSubscribe } from './subscribe.js'
import type { SubscribedChannel } from './subscribed-channel.js'

export type ChannelMessage = ServerMessages[ChannelName]

export interface ChannelDelivery {
  deliver (message: ChannelMessage): void
  /** Receives a message that is not part of a catch-up. */
  receive (message: ChannelMessage): void
  /** The service has sent everything up to `head`. */
  onHead (head: Cursor | undefined): void
  moveCursor (cursor: Cursor): void
  /** Subscribes again from this cursor on, or from the start; at most once a minute. Returns whether it did. */
  resubscribe (cursor?: Cursor): boolean
}

const RESUBSCRIBE_MS = 60_000
const START: StreamPosition = { epoch: '', offset: 0 }

/** Moves the cursor of a channel and decides which of its messages reach the listeners. */
export function createDelivery (
  context: ClientContext, channel: SubscribedChannel, isFiltered: boolean, onCursorMoved: () => void
): ChannelDelivery {
  let resubscribedAt = -Infinity

  /** The distance from the cursor to this position; NaN if they have different epochs. */
  const distance = ({ epoch, offset }: StreamPosition): number =>
    epoch === channel.cursor?.epoch ? offset - channel.cursor.offset : NaN

  function deliver (message: ChannelMessage): void {
    const { position, id, type, payload } = message
    if (position) {
      if (distance(position) <= 0) return
      moveCursor({ ...position, id })
    }
    const isNew = type !== 'mission_update' ||
      context.missions.apply(payload, channel.cursor ?? START, position !== undefined)
    if (isNew && !context.closed) context.emit(type, payload, message)
  }

  function moveCursor (cursor: Cursor): void {
    channel.cursor = pick(cursor)
    onCursorMoved()
  }

  function resubscribe (cursor?: Cursor): boolean {
    const now = context.clock.monotonic()
    if (now - resubscribedAt < RESUBSCRIBE_MS) return false
    resubscribedAt = now
    channel.cursor = cursor
    context.send({ type: 'unsubscribe', channels: [channel.name] })
    // Without a cursor, the client may have missed endings.
    sendSubscribe(context, [channel], cursor ? undefined : 100)
    return true
  }

  return {
    deliver,
    receive (message) {
      // Everything from the hole on is sent again, this message too. A filter leaves holes of its own.
      if (message.position && distance(message.position) > 1 && !isFiltered) resubscribe(channel.cursor)
      else deliver(message)
    },
    onHead (head) {
      // A heartbeat that was queued may be older than messages that arrived before it.
      if (!head || channel.remaining || distance(head) <= 0) return
      if (!channel.cursor || isFiltered) moveCursor(head)
      else resubscribe(channel.cursor)
    },
    moveCursor,
    resubscribe
  }
}
