import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../../schemas/channels/index.js'
import { missionChecksum } from '../../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { AsOf, GapCause } from '../../../schemas/messages/server-messages.js'
import type { Clock } from '../../base/clock.js'
import type { Channel } from '../channel.js'
import type { Envelope } from '../wire/envelope.js'
import type { MessageLog } from './message-log.js'
import { Message } from '../wire/message.js'

/** Why messages are missing, and what takes their place; `from` is the offset of the first, where it is known. */
export interface GapDetails { cause: GapCause, from?: number | undefined, snapshot: Snapshot }

/**
 * The state of a channel: messages of the log with `number` and later are not in it, and neither are replaceable ones with `made` and
 * later. `offset` is the last one of the channel that is.
 */
export interface Snapshot { sequence: number, offset: number, createdCount: number, asOf: AsOf, messages: readonly Message[] }

/** What a snapshot is to hold. */
export interface SnapshotRequest {
  filter: SubscriptionFilter | undefined
  /** The offset after which endings are wanted; `undefined` for somebody who comes for the first time. */
  after: number | undefined
  /** In ms of the monotonic clock: an older one does not serve. `now`: nothing may have happened since. */
  notBefore: number | 'now'
}

export interface SnapshotCacheDeps {
  clock: Clock
  envelope: Envelope
  log: MessageLog
  channel: (name: ChannelName) => Channel
  onGap: (cause: GapCause) => void
}

interface CachedState extends Omit<Snapshot, 'messages'> { messages: readonly Message[], createdAt: number }

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** How long a state serves all who need one; what happened since comes after it from the log. */
const STATE_MS = 5_000
/** A state of fewer messages is cheap, and made anew each time. */
const SHARED_FROM_MESSAGES = 100

/**
 * What takes the place of messages that are lost, and what a new subscriber begins with. A thousand connections that come to life together
 * share one state, whatever each of them filters.
 */
export class SnapshotCache {
  readonly #deps: SnapshotCacheDeps
  readonly #states = new Map<ChannelName, CachedState>()
  readonly #checksums = new Map<ChannelName, { sequence: number, checksum: Pick<AsOf, 'checksum'> }>()
  readonly #lastReplaceable = new Map<ChannelName, number>()
  #endings = new WeakMap<object, Message>()

  constructor (setup: SnapshotCacheDeps) {
    this.#deps = setup
  }

  gap (channel: ChannelName, { cause, from, snapshot }: GapDetails): Message {
    const { envelope, log, onGap } = this.#deps
    onGap(cause)
    const range = from !== undefined && { range: { epoch: log.epoch, from, to: snapshot.offset } }
    // Where nothing is kept there is no place to be at.
    const asOf = LOGGED.has(channel) && { asOf: snapshot.asOf }
    const payload = { channel, cause, ...range, ...asOf, messages: snapshot.messages.length }
    return envelope.message('subscription_gap', { payload }, { traits: { channel } })
  }

  /** The present state and the endings that are wanted, from which on the log has everything. */
  snapshot (channel: ChannelName, { filter, after, notBefore }: SnapshotRequest): Snapshot {
    const state = this.#state(channel, notBefore)
    const endings = this.#endingsOf(channel, after, state.offset)
    const messages = this.#fitting(channel, filter, [...state.messages, ...endings])
    if (filter === undefined) return { ...state, messages }
    return { ...state, messages, asOf: { ...state.asOf, ...this.#checksum(channel, messages) } }
  }

  /** The checksum of the present state, as part of an `asOf`; costs no encoding. */
  currentChecksum (name: ChannelName, filter: SubscriptionFilter | undefined): Pick<AsOf, 'checksum'> {
    const { log, channel } = this.#deps
    const { checksumEntries, fits } = channel(name)
    if (checksumEntries === undefined) return {}
    if (filter !== undefined) return { checksum: missionChecksum(checksumEntries().filter((one) => fits!(one, filter))) }
    const known = this.#checksums.get(name)
    // Every change of what it is made of has a place in the log.
    if (known?.sequence === log.nextSequence) return known.checksum
    const checksum = { checksum: missionChecksum(checksumEntries()) }
    this.#checksums.set(name, { sequence: log.nextSequence, checksum })
    return checksum
  }

  /** Forgets a channel: what happens to it from now on has no place in the log. */
  invalidate (name: ChannelName): void {
    this.#states.delete(name)
    this.#checksums.delete(name)
  }

  /** A message that may be replaced was published, which is in no state before it. */
  noteReplaceable (name: ChannelName, { creationIndex }: Message): void {
    this.#lastReplaceable.set(name, creationIndex)
  }

  /** Lets go of what no longer serves. */
  trim (): void {
    const now = this.#deps.clock.monotonic()
    for (const [channel, { createdAt }] of this.#states) if (now - createdAt >= STATE_MS) this.#states.delete(channel)
    if (this.#states.size === 0) this.#endings = new WeakMap()
  }

  #state (channel: ChannelName, notBefore: number | 'now'): CachedState {
    const { clock, log } = this.#deps
    const known = this.#states.get(channel)
    if (notBefore === 'now') return known?.sequence === log.nextSequence && known.createdCount > this.#lastReplaceableOf(channel) ? known : this.#createState(channel)
    const oldest = Math.max(notBefore, clock.monotonic() - STATE_MS)
    if (known !== undefined && known.messages.length >= SHARED_FROM_MESSAGES && known.createdAt >= oldest && known.sequence >= log.firstSequence) return known
    return this.#createState(channel)
  }

  #lastReplaceableOf (channel: ChannelName): number {
    return this.#lastReplaceable.get(channel) ?? -1
  }

  #createState (channel: ChannelName): CachedState {
    const { clock, log } = this.#deps
    const messages = this.#deps.channel(channel).snapshot().map((payload) => this.#encode(channel, payload))
    const state = {
      sequence: log.nextSequence,
      offset: log.head(channel),
      createdCount: Message.createdCount,
      asOf: { ...log.cursor(channel), ...this.#checksum(channel, messages) },
      messages,
      createdAt: clock.monotonic()
    }
    this.#states.set(channel, state)
    return state
  }

  #endingsOf (channel: ChannelName, after: number | undefined, upTo: number): Message[] {
    const endings = this.#deps.channel(channel).endings?.(after, upTo) ?? []
    return endings.map((payload) => {
      const known = this.#endings.get(payload)
      if (known !== undefined) return known
      const message = this.#encode(channel, payload)
      this.#endings.set(payload, message)
      return message
    })
  }

  #encode (channel: ChannelName, payload: ChannelPayloads[ChannelName]): Message {
    const { facts } = this.#deps.channel(channel).delivery(payload)
    return this.#deps.envelope.message(channel, { payload } as never, { traits: { channel, facts } })
  }

  #fitting (name: ChannelName, filter: SubscriptionFilter | undefined, messages: readonly Message[]): readonly Message[] {
    if (filter === undefined) return messages
    const channel = this.#deps.channel(name)
    return messages.filter(({ facts }) => channel.fits!(facts!, filter))
  }

  #checksum (name: ChannelName, messages: readonly Message[]): Pick<AsOf, 'checksum'> {
    const channel = this.#deps.channel(name)
    if (channel.checksumEntry === undefined) return {}
    return { checksum: missionChecksum(messages.flatMap(({ facts }) => channel.checksumEntry!(facts!) ?? [])) }
  }
}
