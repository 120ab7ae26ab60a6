import type { ClientMessage } from '../../../schemas/messages/client-messages.js'
import type { ClientContext } from '../context.js'
import { countBytes, DEFAULT_LIMITS, type ServiceLimits } from './pace.js'
import { createTimeout } from './platform.js'

interface Sendable {
  readonly message: ClientMessage
  /** Undefined while the message waits for the connection and for its turn. */
  sentAt?: number
}

export interface SendQueueDeps<Item extends Sendable> {
  /** Those that are sent stay in the map. */
  items: ReadonlyMap<unknown, Item>
  put: (item: Item) => void
  /** Called for an item that is larger than the service accepts. */
  refuse: (item: Item) => void
  /** Asks the service for its limits, ahead of the queue. */
  whoami: () => Promise<{ limits?: ServiceLimits }>
}

/** What the client sends over a connection before it asks for the limits: a page that only watches never asks. */
const FREE_MESSAGES = 4
const FREE_BYTES = 1_024

/** Creates a function that sends waiting items, in order, as soon as the service accepts them. */
export function createSendQueue<Item extends Sendable> (
  context: ClientContext, { items, put, refuse, whoami }: SendQueueDeps<Item>
): () => void {
  const restart = createTimeout(context.clock)
  let isLearning = false

  function flush (): void {
    const { pace } = context
    for (const item of items.values()) {
      if (!context.isUp) return
      if (item.sentAt !== undefined) continue
      const bytes = countBytes(item.message)
      if (!pace.limits && (pace.sent >= FREE_MESSAGES || bytes > FREE_BYTES)) {
        if (!isLearning) learn()
        return
      }
      const waitMs = pace.waitMs()
      if (waitMs > 0) return restart(waitMs, flush)
      if (bytes > (pace.limits ?? DEFAULT_LIMITS).maxPayloadBytes) refuse(item)
      else put(item)
    }
  }

  async function learn (): Promise<void> {
    const { pace } = context
    isLearning = true
    // Without an answer the defaults apply, as for a server that implements only a part of the protocol.
    pace.limits = (await whoami().catch(() => {}))?.limits ?? DEFAULT_LIMITS
    isLearning = false
    flush()
  }

  return flush
}
