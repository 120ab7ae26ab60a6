import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../../schemas/channels/index.js'
import { missionChecksum } from '../../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { AsOf, GapCause } from '../../../schemas/messages/server-messages.js'
import type { Clock } from '../../base/clock.js'
import type { Channel, EndingsRange } from '../channel.js'
import type { Envelope } from '../wire/envelope.js'
import type { MessageLog } from './message-log.js'
import { Message } from '../wire/message.js'

/** Why messages are missing, and the snapshot sent instead; `from` is the offset of the first one, if it is known. */
export interface GapDetails { cause: GapCause, from?: number | undefined, snapshot: Snapshot }

/**
 * The state of a channel at one moment. It covers the channel up to `offset`. It does not contain messages of the log
 * from `sequence` on, nor replaceable messages whose `creationIndex` is `createdCount` or more.
 */
export interface Snapshot {
  sequence: number
  offset: number
  createdCount: number
  asOf: AsOf
  messages: readonly Message[]
}

export interface SnapshotRequest {
  filter: SubscriptionFilter | undefined
  endings: EndingsRange
  /**
   * A snapshot created before this time (ms of the monotonic clock) is not used. `now`: nothing may have changed
   * since.
   */
  notBefore: number | 'now'
}

export interface SnapshotCacheDeps {
  clock: Clock
  envelope: Envelope
  log: MessageLog
  /** The channel, and the `creationIndex` of its newest replaceable message. */
  state: (name: ChannelName) => { readonly channel: Channel, readonly lastReplaceable: number }
  onGap: (cause: GapCause) => void
}

interface CachedSnapshot extends Snapshot { createdAt: number }

type Checksum = Pick<AsOf, 'checksum'>

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** How long a snapshot is reused; what happened since follows it from the log. */
const MAX_AGE_MS = 5_000
/** Smaller snapshots are cheap, and are created anew each time. */
const SHARED_FROM_MESSAGES = 100

/**
 * Creates the snapshots that replace missing messages and that new subscribers start with. A thousand connections that
 * subscribe together share one snapshot, whatever their filters.
 */
export class SnapshotCache {
  readonly #deps: SnapshotCacheDeps
  readonly #snapshots = new Map<ChannelName, CachedSnapshot>()
  readonly #checksums = new Map<ChannelName, { sequence: number, checksum: Checksum }>()
  #endings = new WeakMap<object, Message>()

  constructor (deps: SnapshotCacheDeps) {
    this.#deps = deps
  }

  /** The `subscription_gap` that announces a snapshot. */
  gap (channel: ChannelName, { cause, from, snapshot }: GapDetails): Message {
    const { envelope, log, onGap } = this.#deps
    onGap(cause)
    const range = from !== undefined && { range: { epoch: log.epoch, from, to: snapshot.offset } }
    // A channel without a log has no position.
    const asOf = LOGGED.has(channel) && { asOf: snapshot.asOf }
    const payload = { channel, cause, ...range, ...asOf, messages: snapshot.messages.length }
    return envelope.message('subscription_gap', { payload }, { channel })
  }

  /** The state of a channel with the requested endings; the log continues it without a hole. */
  snapshot (channel: ChannelName, { filter, endings: range, notBefore }: SnapshotRequest): Snapshot {
    const snapshot = this.#find(channel, notBefore) ?? this.#create(channel)
    const endings = this.#endingsOf(channel, range, snapshot.offset)
    const messages = this.#fitting(channel, filter, [...snapshot.messages, ...endings])
    if (filter === undefined) return { ...snapshot, messages }
    return { ...snapshot, messages, asOf: { ...snapshot.asOf, ...this.#checksum(channel, messages) } }
  }

  /** The checksum of the current state, as part of an `asOf`; encodes nothing. */
  currentChecksum (name: ChannelName, filter: SubscriptionFilter | undefined): Checksum {
    const { log, state } = this.#deps
    const { checksumEntries, fits } = state(name).channel
    if (checksumEntries === undefined) return {}
    if (filter !== undefined) {
      return { checksum: missionChecksum(checksumEntries().filter((entry) => fits!(entry, filter))) }
    }
    const known = this.#checksums.get(name)
    // Everything that changes the checksum is in the log.
    if (known?.sequence === log.nextSequence) return known.checksum
    const checksum = { checksum: missionChecksum(checksumEntries()) }
    this.#checksums.set(name, { sequence: log.nextSequence, checksum })
    return checksum
  }

  /** Drops the snapshot of a channel, because its changes are no longer recorded in the log. */
  invalidate (name: ChannelName): void {
    this.#snapshots.delete(name)
    this.#checksums.delete(name)
  }

  /** Drops snapshots that are too old to be reused. */
  trim (): void {
    const now = this.#deps.clock.monotonic()
    for (const [channel, { createdAt }] of this.#snapshots) {
      if (now - createdAt >= MAX_AGE_MS) this.#snapshots.delete(channel)
    }
    if (this.#snapshots.size === 0) this.#endings = new WeakMap()
  }

  #find (channel: ChannelName, notBefore: number | 'now'): CachedSnapshot | undefined {
    const known = this.#snapshots.get(channel)
    if (known === undefined) return undefined
    const isUsable = notBefore === 'now' ? this.#isCurrent(channel, known) : this.#isShareable(known, notBefore)
    return isUsable ? known : undefined
  }

  #isCurrent (channel: ChannelName, { sequence, createdCount }: CachedSnapshot): boolean {
    const { log, state } = this.#deps
    return sequence === log.nextSequence && createdCount > state(channel).lastReplaceable
  }

  #isShareable ({ messages, createdAt, sequence }: CachedSnapshot, notBefore: number): boolean {
    const { clock, log } = this.#deps
    const oldestAt = Math.max(notBefore, clock.monotonic() - MAX_AGE_MS)
    return messages.length >= SHARED_FROM_MESSAGES && createdAt >= oldestAt && sequence >= log.firstSequence
  }

  #create (channel: ChannelName): CachedSnapshot {
    const { clock, log } = this.#deps
    const messages = this.#deps.state(channel).channel.snapshot().map((payload) => this.#encode(channel, payload))
    const snapshot = {
      sequence: log.nextSequence,
      offset: log.head(channel),
      createdCount: Message.createdCount,
      asOf: { ...log.cursor(channel), ...this.#checksum(channel, messages) },
      messages,
      createdAt: clock.monotonic()
    }
    this.#snapshots.set(channel, snapshot)
    return snapshot
  }

  #endingsOf (channel: ChannelName, range: EndingsRange, upTo: number): Message[] {
    const endings = this.#deps.state(channel).channel.endings?.(range, upTo) ?? []
    return endings.map((payload) => {
      const known = this.#endings.get(payload)
      if (known !== undefined) return known
      const message = this.#encode(channel, payload)
      this.#endings.set(payload, message)
      return message
    })
  }

  #encode (channel: ChannelName, payload: ChannelPayloads[ChannelName]): Message {
    const { attributes } = this.#deps.state(channel).channel.delivery(payload)
    return this.#deps.envelope.message(channel, { payload } as never, { channel, attributes })
  }

  #fitting (
    name: ChannelName, filter: SubscriptionFilter | undefined, messages: readonly Message[]
  ): readonly Message[] {
    if (filter === undefined) return messages
    const { channel } = this.#deps.state(name)
    return messages.filter(({ attributes }) => channel.fits!(attributes!, filter))
  }

  #checksum (name: ChannelName, messages: readonly Message[]): Checksum {
    const { channel } = this.#deps.state(name)
    if (channel.checksumEntry === undefined) return {}
    const entries = messages.flatMap(({ attributes }) => channel.checksumEntry!(attributes!) ?? [])
    return { checksum: missionChecksum(entries) }
  }
}
