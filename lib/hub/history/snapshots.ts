import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../../schemas/channels/index.js'
import { missionDigest } from '../../../schemas/digest.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { AsOf, GapCause } from '../../../schemas/messages/server-messages.js'
import type { Clock } from '../../base/clock.js'
import type { Channel } from '../channel.js'
import type { Envelope } from '../wire/envelope.js'
import type { Log } from './message-log.js'
import { Message } from '../wire/message.js'

/** Why messages are missing, and what takes their place; `from` is the offset of the first, where it is known. */
export interface Gap { cause: GapCause, from?: number | undefined, snapshot: Snapshot }

/**
 * The state of a channel: messages of the log with `number` and later are not in it, and neither are replaceable ones with `made` and
 * later. `offset` is the last one of the channel that is.
 */
export interface Snapshot { number: number, offset: number, made: number, asOf: AsOf, messages: readonly Message[] }

/** What a snapshot is to hold. */
export interface SnapshotWish {
  filter: SubscriptionFilter | undefined
  /** The offset after which endings are wanted; `undefined` for somebody who comes for the first time. */
  after: number | undefined
  /** In ms of the monotonic clock: an older one does not serve. `now`: nothing may have happened since. */
  notBefore: number | 'now'
}

export interface RecoverySetup {
  clock: Clock
  envelope: Envelope
  log: Log
  channel: (name: ChannelName) => Channel
  onGap: (cause: GapCause) => void
}

interface State extends Omit<Snapshot, 'messages'> { messages: readonly Message[], madeAt: number }

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** How long a state serves all who need one; what happened since comes after it from the log. */
const STATE_MS = 5_000
/** A state of fewer messages is cheap, and made anew each time. */
const SHARED_FROM_MESSAGES = 100

/**
 * What takes the place of messages that are lost, and what a new subscriber begins with. A thousand connections that come to life together
 * share one state, whatever each of them filters.
 */
export class Recovery {
  readonly #setup: RecoverySetup
  readonly #states = new Map<ChannelName, State>()
  readonly #digests = new Map<ChannelName, { number: number, digest: Pick<AsOf, 'digest'> }>()
  readonly #moved = new Map<ChannelName, number>()
  #endings = new WeakMap<object, Message>()

  constructor (setup: RecoverySetup) {
    this.#setup = setup
  }

  gap (channel: ChannelName, { cause, from, snapshot }: Gap): Message {
    const { envelope, log, onGap } = this.#setup
    onGap(cause)
    const range = from !== undefined && { range: { epoch: log.epoch, from, to: snapshot.offset } }
    // Where nothing is kept there is no place to be at.
    const asOf = LOGGED.has(channel) && { asOf: snapshot.asOf }
    const payload = { channel, cause, ...range, ...asOf, messages: snapshot.messages.length }
    return envelope.message('subscription_gap', { payload }, { traits: { channel } })
  }

  /** The present state and the endings that are wanted, from which on the log has everything. */
  snapshot (channel: ChannelName, { filter, after, notBefore }: SnapshotWish): Snapshot {
    const state = this.#state(channel, notBefore)
    const endings = this.#endingsOf(channel, after, state.offset)
    const messages = this.#fitting(channel, filter, [...state.messages, ...endings])
    if (filter === undefined) return { ...state, messages }
    return { ...state, messages, asOf: { ...state.asOf, ...this.#digest(channel, messages) } }
  }

  /** The check word of the present state, as part of an `asOf`; costs no encoding. */
  digestNow (name: ChannelName, filter: SubscriptionFilter | undefined): Pick<AsOf, 'digest'> {
    const { log, channel } = this.#setup
    const { present, fits } = channel(name)
    if (present === undefined) return {}
    if (filter !== undefined) return { digest: missionDigest(present().filter((one) => fits!(one, filter))) }
    const known = this.#digests.get(name)
    // Every change of what it is made of has a place in the log.
    if (known?.number === log.nextNumber) return known.digest
    const digest = { digest: missionDigest(present()) }
    this.#digests.set(name, { number: log.nextNumber, digest })
    return digest
  }

  /** Forgets a channel: what happens to it from now on has no place in the log. */
  forget (name: ChannelName): void {
    this.#states.delete(name)
    this.#digests.delete(name)
  }

  /** A message that may be replaced was published, which is in no state before it. */
  moved (name: ChannelName, { made }: Message): void {
    this.#moved.set(name, made)
  }

  /** Lets go of what no longer serves. */
  sweep (): void {
    const now = this.#setup.clock.monotonic()
    for (const [channel, { madeAt }] of this.#states) if (now - madeAt >= STATE_MS) this.#states.delete(channel)
    if (this.#states.size === 0) this.#endings = new WeakMap()
  }

  #state (channel: ChannelName, notBefore: number | 'now'): State {
    const { clock, log } = this.#setup
    const known = this.#states.get(channel)
    if (notBefore === 'now') return known?.number === log.nextNumber && known.made > this.#movedAt(channel) ? known : this.#makeState(channel)
    const oldest = Math.max(notBefore, clock.monotonic() - STATE_MS)
    if (known !== undefined && known.messages.length >= SHARED_FROM_MESSAGES && known.madeAt >= oldest && known.number >= log.firstNumber) return known
    return this.#makeState(channel)
  }

  #movedAt (channel: ChannelName): number {
    return this.#moved.get(channel) ?? -1
  }

  #makeState (channel: ChannelName): State {
    const { clock, log } = this.#setup
    const messages = this.#setup.channel(channel).snapshot().map((payload) => this.#encode(channel, payload))
    const state = {
      number: log.nextNumber,
      offset: log.head(channel),
      made: Message.made,
      asOf: { ...log.cursor(channel), ...this.#digest(channel, messages) },
      messages,
      madeAt: clock.monotonic()
    }
    this.#states.set(channel, state)
    return state
  }

  #endingsOf (channel: ChannelName, after: number | undefined, upTo: number): Message[] {
    const endings = this.#setup.channel(channel).endings?.(after, upTo) ?? []
    return endings.map((payload) => {
      const known = this.#endings.get(payload)
      if (known !== undefined) return known
      const message = this.#encode(channel, payload)
      this.#endings.set(payload, message)
      return message
    })
  }

  #encode (channel: ChannelName, payload: ChannelPayloads[ChannelName]): Message {
    const { facts } = this.#setup.channel(channel).delivery(payload)
    return this.#setup.envelope.message(channel, { payload } as never, { traits: { channel, facts } })
  }

  #fitting (name: ChannelName, filter: SubscriptionFilter | undefined, messages: readonly Message[]): readonly Message[] {
    if (filter === undefined) return messages
    const channel = this.#setup.channel(name)
    return messages.filter(({ facts }) => channel.fits!(facts!, filter))
  }

  #digest (name: ChannelName, messages: readonly Message[]): Pick<AsOf, 'digest'> {
    const channel = this.#setup.channel(name)
    if (channel.active === undefined) return {}
    return { digest: missionDigest(messages.flatMap(({ facts }) => channel.active!(facts!) ?? [])) }
  }
}
