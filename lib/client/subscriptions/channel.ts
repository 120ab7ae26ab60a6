import type { ChannelName, LoggedChannel } from '../../../schemas/channels/index.js'
import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { Cursor, StreamPosition } from '../../../schemas/messages/envelope.js'
import type { AsOf, ServerMessage, ServerMessages } from '../../../schemas/messages/server-messages.js'
import { refusal } from '../connection/requests.js'
import type { ClientContext } from '../context.js'
import type { ClientError } from '../errors.js'
import { pick } from './cursors.js'
import { sendSubscribe, type SubscribableChannel } from './subscribe.js'

export type ChannelMessage = ServerMessages[ChannelName]

export interface ChannelEvents {
  onMessage: (message: ChannelMessage) => void
  onCursorMoved: () => void
  /** The service was restarted and does not know this mission, which was active. */
  onLost: (id: string) => void
  onCaughtUp: () => void
  /** The service refuses the subscription. */
  onRefused: (error: ClientError) => void
}

const RESUBSCRIBE_MS = 60_000
const START: StreamPosition = { epoch: '', offset: 0 }

/**
 * One channel of a client: its cursor, and which of its messages reach the listeners. After each ack the channel
 * catches up: it receives as many snapshots and replayed messages as the ack announces.
 */
export class SubscribedChannel implements SubscribableChannel {
  readonly name: ChannelName
  cursor: Cursor | undefined
  isReady = false
  /** Messages that are missing until the channel has caught up; -1 before the ack. */
  remaining = 0
  readonly #context: ClientContext
  readonly #events: ChannelEvents
  #subscribeId: string | undefined
  /** Cursor after the catch-up. */
  #asOf: AsOf | undefined
  /** Whether the catch-up contains all active missions. */
  #isFullState = false
  /** Held until the end of the catch-up, because replayed messages may follow them. */
  #snapshots: ChannelMessage[] = []
  #resubscribedAt = -Infinity
  readonly #isFiltered: boolean

  constructor (context: ClientContext, name: ChannelName, cursor: Cursor | undefined, events: ChannelEvents) {
    this.#context = context
    this.#events = events
    this.name = name
    this.cursor = cursor
    this.#isFiltered = context.filter !== undefined && name === 'mission_update'
  }

  expectAck (id: string, isFullState: boolean): void {
    this.#subscribeId = id
    this.#isFullState = isFullState
    this.remaining = -1
  }

  /** Receives every message of the service; those of other channels change nothing. */
  receive (message: ServerMessage): void {
    switch (message.type) {
      case 'subscription_ack': return this.#onAck(message)
      case 'subscription_gap': return this.#onGap(message)
      case 'heartbeat': return this.#onHead(message.heads?.[this.name as LoggedChannel])
      case this.name: return this.#onMessage(message as ChannelMessage)
    }
    const isRefusal = 'error' in message && this.remaining < 0 && message.replyTo === this.#subscribeId
    if (!isRefusal) return
    this.#events.onRefused(refusal(message.error))
    this.#beginCatchUp({}, false)
  }

  #onAck ({ replyTo, payload }: ServerMessages['subscription_ack']): void {
    const { channel, gap, outcome } = payload
    if (channel !== this.name || this.#subscribeId !== replyTo) return
    if (gap) this.#context.emit('gap', { channel, ...gap })
    this.#beginCatchUp(payload, outcome !== 'resumed' || this.#isFullState)
  }

  #onGap ({ payload }: ServerMessages['subscription_gap']): void {
    if (payload.channel !== this.name || this.remaining < 0) return
    this.#context.emit('gap', payload)
    this.#beginCatchUp(payload, true)
  }

  #onMessage (message: ChannelMessage): void {
    // A reply, even a late one, belongs to its request.
    if (this.remaining < 0 || message.replyTo) return
    if (!this.remaining) return this.#receiveLive(message)
    this.remaining--
    if ('snapshot' in message.payload) this.#snapshots.push(message)
    else this.#deliver(message)
    if (!this.remaining) this.#endCatchUp()
  }

  // The service has sent everything up to `head`.
  #onHead (head: Cursor | undefined): void {
    const { cursor } = this
    // A heartbeat that was queued may be older than messages that arrived before it.
    if (!head || this.remaining || (head.epoch === cursor?.epoch && head.offset <= cursor.offset)) return
    if (!cursor || this.#isFiltered) this.#moveCursor(head)
    else this.#resubscribe(cursor)
  }

  #beginCatchUp ({ asOf, messages = 0 }: { asOf?: AsOf, messages?: number }, isFullState: boolean): void {
    this.#asOf = asOf
    this.remaining = messages
    this.#snapshots = []
    this.#isFullState = isFullState && asOf !== undefined
    if (messages === 0) this.#endCatchUp()
  }

  #endCatchUp (): void {
    const isRestarted = this.#asOf !== undefined && this.cursor !== undefined && this.#asOf.epoch !== this.cursor.epoch
    if (this.#asOf) this.#moveCursor(this.#asOf)
    for (const message of this.#snapshots) this.#deliver(message)
    this.isReady = true
    if (this.name === 'mission_update') this.#reconcile(isRestarted)
    this.#snapshots = []
    this.#events.onCaughtUp()
  }

  /** Removes missions that the service no longer knows, and compares the checksums. */
  #reconcile (isRestarted: boolean): void {
    const { missions, emit } = this.#context
    if (this.#isFullState) {
      const ids = new Set(this.#snapshots.map(({ payload }) => (payload as MissionUpdate).missionId))
      for (const mission of missions.keepOnly(ids)) {
        emit('lost', mission)
        // Without a filter, the snapshot is the answer for every mission.
        if (isRestarted && !this.#isFiltered) this.#events.onLost(mission.missionId)
      }
    }
    const actual = missions.checksum()
    const expected = this.#asOf?.checksum ?? actual
    if (expected !== actual) emit('diverged', { expected, actual, isRepaired: this.#resubscribe() })
  }

  #receiveLive (message: ChannelMessage): void {
    const { cursor } = this
    const { position } = message
    const isAfterHole = position && cursor?.epoch === position.epoch && position.offset > cursor.offset + 1
    // Everything from the hole on is sent again, this message too. A filter leaves holes of its own.
    if (isAfterHole && !this.#isFiltered) this.#resubscribe(cursor)
    else this.#deliver(message)
  }

  #deliver (message: ChannelMessage): void {
    const { cursor } = this
    const { position, id, type, payload } = message
    if (position) {
      if (cursor?.epoch === position.epoch && position.offset <= cursor.offset) return
      this.#moveCursor({ ...position, id })
    }
    const { missions } = this.#context
    const isReliable = position !== undefined
    const isNew = type !== 'mission_update' || missions.apply(payload, this.cursor ?? START, isReliable)
    if (isNew) this.#events.onMessage(message)
  }

  #moveCursor (cursor: Cursor): void {
    this.cursor = pick(cursor)
    this.#events.onCursorMoved()
  }

  /** Subscribes again from this cursor on, or from the start; at most once a minute. Returns whether it did. */
  #resubscribe (cursor?: Cursor): boolean {
    const { clock, send } = this.#context
    const now = clock.monotonic()
    if (now - this.#resubscribedAt < RESUBSCRIBE_MS) return false
    this.#resubscribedAt = now
    this.cursor = cursor
    send({ type: 'unsubscribe', channels: [this.name] })
    // Without a cursor, the client may have missed endings.
    sendSubscribe(this.#context, [this], cursor ? undefined : 100)
    return true
  }
}
