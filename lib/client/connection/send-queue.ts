import type { ClientMessage } from '../../../schemas/messages/client-messages.js'
import type { ClientContext } from '../context.js'
import { countBytes, DEFAULT_LIMITS, type ServiceLimits } from './pace.js'
import { createTimeout } from './platform.js'

interface Queued { readonly message: ClientMessage }

export interface SendQueue<Item extends Queued> {
  /** Sends the item when the service accepts it; does nothing while there is no connection. */
  add (item: Item): void
  remove (item: Item | undefined): void
}

export interface SendQueueDeps<Item extends Queued> {
  put: (item: Item) => void
  /** Called for an item that is larger than the service accepts. */
  refuse: (item: Item) => void
  /** Asks the service for its limits, ahead of the queue. */
  askLimits: () => Promise<ServiceLimits>
}

/** What the client sends over a connection before it asks for the limits: a page that only watches never asks. */
const FREE_MESSAGES = 4
const FREE_BYTES = 1_024

/** Requests that are not sent over this connection yet, in order. */
export function createSendQueue<Item extends Queued> (
  context: ClientContext, { put, refuse, askLimits }: SendQueueDeps<Item>
): SendQueue<Item> {
  const { pace } = context
  const queue = new Set<Item>()
  const restart = createTimeout(context.clock)
  let isLearning = false

  function flush (): void {
    for (const item of queue) {
      const bytes = countBytes(item.message)
      if (!pace.limits && (pace.sent >= FREE_MESSAGES || bytes > FREE_BYTES)) {
        if (!isLearning) learn()
        return
      }
      const waitMs = pace.waitMs()
      if (waitMs > 0) return restart(waitMs, flush)
      queue.delete(item)
      if (bytes > (pace.limits ?? DEFAULT_LIMITS).maxPayloadBytes) refuse(item)
      else put(item)
    }
  }

  async function learn (): Promise<void> {
    isLearning = true
    // Without an answer the defaults apply, as for a server that implements only a part of the protocol.
    pace.limits = await askLimits().catch(() => {}) ?? DEFAULT_LIMITS
    isLearning = false
    flush()
  }

  return {
    add (item) {
      if (!context.isUp) return
      queue.add(item)
      flush()
    },
    remove: (item) => { queue.delete(item!) }
  }
}
