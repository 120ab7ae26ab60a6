import type { ChannelName } from '../../../schemas/channels/index.js'
import type { ClientMessages } from '../../../schemas/messages/client-messages.js'
import type { Cursor } from '../../../schemas/messages/envelope.js'
import type { ServerMessage } from '../../../schemas/messages/server-messages.js'
import type { Timeout } from '../connection/platform.js'

/** One channel of a client. */
export interface SubscribedChannel {
  readonly name: ChannelName
  cursor: Cursor | undefined
  /** Whether the channel has caught up at least once. */
  isReady: boolean
  /** Messages that are missing until the channel has caught up; -1 before the answer to `asked`. */
  remaining: number
  /** The last `subscribe` for this channel. */
  asked?: ClientMessages['subscribe']
  /** Subscribes again later; without arguments it cancels that. */
  readonly retry: Timeout
  /** Receives every message of the service; those of other channels change nothing. */
  receive (message: ServerMessage): void
}
