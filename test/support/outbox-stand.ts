import type { ChannelName } from '../../schemas/channels/index.js'
import { createVirtualClock } from '../../lib/base/virtual-clock.js'
import type { Channel } from '../../lib/hub/channel.js'
import { FlushScheduler } from '../../lib/hub/delivery/flush-scheduler.js'
import type { SubscriptionState } from '../../lib/hub/delivery/catch-up.js'
import { Outbox, type SharedOutboxDeps } from '../../lib/hub/delivery/outbox.js'
import type { FrameWriter } from '../../lib/hub/delivery/write-queue.js'
import { MessageLog } from '../../lib/hub/history/message-log.js'
import { SnapshotCache } from '../../lib/hub/history/snapshot-cache.js'
import { HubMetrics } from '../../lib/hub/metrics.js'
import { MessageEnvelope } from '../../lib/hub/wire/envelope.js'
import type { Message } from '../../lib/hub/wire/message.js'

export interface OpenOptions {
  writer: FrameWriter
  subscriptions?: Map<ChannelName, SubscriptionState>
  maxBytes?: number
  onOverflow?: () => void
}

/**
 * Real outboxes over one scheduler, message log and snapshot cache, without a hub and without sockets. The only place in
 * the tests that wires these classes by hand; a test passes the writers and sends the messages.
 */
export class OutboxStand {
  readonly clock = createVirtualClock()
  readonly metrics = new HubMetrics([], createVirtualClock())
  readonly scheduler = new FlushScheduler((ms) => this.metrics.fanOut.record(ms), this.metrics.delivery)
  /** The state of the only channel, `mission_update`: the last step of each mission. */
  readonly states = new Map<string, number>()
  /** The offsets after which snapshots were asked for endings. */
  readonly endingsAfter: number[] = []
  /** Whether the client may see a message. */
  fits: (message: Message) => boolean = () => true
  readonly log: MessageLog
  readonly snapshots: SnapshotCache
  readonly #shared: SharedOutboxDeps

  constructor ({ maxMessages = 10_000 } = {}) {
    const { clock, metrics, scheduler } = this
    this.log = new MessageLog({ clock, options: { maxMessages, maxBytes: 16_777_216, maxAgeMs: 900_000 } })
    const channel = {
      name: 'mission_update',
      delivery: () => ({}),
      snapshot: () => [...this.states].map(([missionId, seq]) => ({ missionId, seq, snapshot: true })),
      endings: ({ after }: { after: number }) => {
        this.endingsAfter.push(after)
        return []
      }
    } as unknown as Channel
    this.snapshots = new SnapshotCache({
      clock,
      envelope: new MessageEnvelope(clock, { name: 'x', version: '1' }),
      log: this.log,
      channel: () => channel,
      onGap: (cause) => metrics.gaps.add(cause)
    })
    const { log, snapshots } = this
    this.#shared = { metrics, scheduler, log, snapshots, fits: (message) => this.fits(message), onBackpressure: () => {} }
  }

  open ({ writer, subscriptions = new Map(), maxBytes = 1_000_000, onOverflow = () => {} }: OpenOptions): Outbox {
    return new Outbox({ writer, subscriptions, maxBytes, onOverflow, shared: this.#shared })
  }
}
