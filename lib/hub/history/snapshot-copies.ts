import type { Clock } from '../../base/clock.js'
import type { MessageEnvelope } from '../wire/envelope.js'
import { Message, type MessageBody } from '../wire/message.js'

/** A snapshot on its way to one receiver. It contains each body at most once. */
export interface SnapshotDelivery {
  readonly receiver: object
  /** When the snapshot was taken, in ms of the wall clock. */
  readonly takenAt: number
  /** The period of its last message. */
  period: Period | undefined
  isShared: boolean
}

/** The time during which messages are shared. */
interface Period {
  readonly startedAt: number
  /** The number of messages created before. */
  readonly createdCount: number
  /** The receivers of shared messages. */
  readonly receivers: Set<object>
}

/** How long a message is shared, so that its time is that of sending. */
const SHARED_FOR_MS = 20

/**
 * Turns the bodies of snapshots into messages with an id and the present time. Receivers whose snapshots are sent at
 * the same time share the messages, as those of a broadcast. No receiver gets a message twice.
 */
export class SnapshotCopies {
  readonly #clock: Clock
  readonly #envelope: MessageEnvelope
  #period: Period = { startedAt: NaN, createdCount: 0, receivers: new Set() }

  constructor (clock: Clock, envelope: MessageEnvelope) {
    this.#clock = clock
    this.#envelope = envelope
  }

  begin (receiver: object): SnapshotDelivery {
    return { receiver, takenAt: this.#clock.now(), period: undefined, isShared: false }
  }

  /** The message to send now; to be called once per body of a delivery. */
  message (body: MessageBody, delivery: SnapshotDelivery): Message {
    const period = this.#periodOf(delivery)
    if (delivery.period !== period) {
      delivery.period = period
      // A receiver of another snapshot in this period may have the shared messages already.
      delivery.isShared = !period.receivers.has(delivery.receiver)
      period.receivers.add(delivery.receiver)
    }
    if (!delivery.isShared) return this.#envelope.send(body)
    const { shared } = body
    if (shared !== undefined && shared.creationIndex >= period.createdCount) return shared
    return (body.shared = this.#envelope.send(body))
  }

  // A message is never older than the snapshot it belongs to.
  #periodOf ({ takenAt }: SnapshotDelivery): Period {
    const now = this.#clock.now()
    const { startedAt } = this.#period
    const isOver = !(now >= startedAt && now <= startedAt + SHARED_FOR_MS && takenAt <= startedAt)
    if (isOver) this.#period = { startedAt: now, createdCount: Message.createdCount, receivers: new Set() }
    return this.#period
  }
}
