import type { ChannelName } from '../../../schemas/channels/index.js'
import type { ClientMessage } from '../../../schemas/messages/client-messages.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { ClientContext } from '../context.js'

export interface SubscribableChannel {
  readonly name: ChannelName
  readonly cursor: Cursor | undefined
  /** Whether the channel has caught up at least once. */
  readonly isReady: boolean
  /** Ignores messages of the channel until the ack that replies to `id`. */
  expectAck (id: string, isFullState: boolean): void
}

/**
 * Sends one `subscribe` for these channels; each resumes from its cursor if it has one. `endings` is the number of
 * newest endings to request, for `mission_update` without a cursor.
 */
export function sendSubscribe (
  context: ClientContext, channels: readonly SubscribableChannel[], endings?: number
): void {
  const { filter, makeId, send } = context
  const resumed = channels.filter(({ cursor }) => cursor)
  // After a reload there is a cursor, but not the state that belongs to it.
  const snapshot = resumed.some(({ isReady }) => !isReady)
  const id = makeId()
  for (const channel of channels) channel.expectAck(id, snapshot)
  // JSON omits properties that are undefined.
  send({
    type: 'subscribe',
    id,
    channels: channels.map(({ name }) => name),
    since: resumed[0] && Object.fromEntries(resumed.map(({ name, cursor }) => [name, cursor])),
    filter: channels.some(({ name }) => name === 'mission_update') ? filter : undefined,
    snapshot: snapshot || undefined,
    endings
  } as ClientMessage)
}
