import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../../schemas/channels/index.js'
import { checksumOfHashes, missionChecksum, missionHash } from '../../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { AsOf, GapCause } from '../../../schemas/messages/server-messages.js'
import type { Clock } from '../../base/clock.js'
import type { Channel, EndingsRange } from '../channel.js'
import type { Envelope } from '../wire/envelope.js'
import type { MessageBody } from '../wire/message.js'
import type { MessageLog } from './message-log.js'
import { SnapshotCopies } from './snapshot-copies.js'

/** Why messages are missing, and the snapshot sent instead; `from` is the offset of the first one, if it is known. */
export interface GapDetails { cause: GapCause, from?: number | undefined, snapshot: Snapshot }

/**
 * The present state of a channel. It covers everything that was published: messages up to `offset`, and all replaceable
 * ones. The messages of the log from `sequence` on follow it.
 */
export interface Snapshot {
  sequence: number
  offset: number
  asOf: AsOf
  messages: readonly MessageBody[]
}

export interface SnapshotRequest { filter: SubscriptionFilter | undefined, endings: EndingsRange }

export interface SnapshotCacheDeps {
  clock: Clock
  envelope: Envelope
  log: MessageLog
  channel: (name: ChannelName) => Channel
  onGap: (cause: GapCause) => void
}

/** `hash` is the part of the checksum; absent for states that the checksum does not cover. */
interface EncodedState { body: MessageBody, hash: number | undefined }

/** All states of a snapshot. */
interface EncodedList {
  payloads: readonly Payload[]
  bodies: readonly MessageBody[]
  checksum: Checksum
}

type Payload = ChannelPayloads[ChannelName]

type Checksum = Pick<AsOf, 'checksum'>

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** How long encoded states are kept after they were last needed. */
const KEPT_FOR_MS = 5_000

/**
 * Creates the snapshots that new subscribers start with and that replace missing messages. A snapshot is always that of
 * the present, and each state of it is encoded once: a thousand connections that subscribe one after the other, with
 * any filters, share the bytes of all states that have not changed meanwhile.
 */
export class SnapshotCache {
  /** Creates the messages of a snapshot when it is sent. */
  readonly copies: SnapshotCopies
  readonly #deps: SnapshotCacheDeps
  readonly #checksums = new Map<ChannelName, { sequence: number, checksum: Checksum }>()
  /** By payload. */
  #states = new WeakMap<object, EncodedState>()
  /** The last snapshot without a filter. */
  readonly #last = new Map<ChannelName, EncodedList>()
  readonly #usedAt = new Map<ChannelName, number>()

  constructor (deps: SnapshotCacheDeps) {
    this.#deps = deps
    this.copies = new SnapshotCopies(deps.clock, deps.envelope)
  }

  /** The `subscription_gap` that announces a snapshot. */
  gap (channel: ChannelName, { cause, from, snapshot }: GapDetails): MessageBody {
    const { envelope, log, onGap } = this.#deps
    onGap(cause)
    const range = from !== undefined && { range: { epoch: log.epoch, from, to: snapshot.offset } }
    // A channel without a log has no position.
    const asOf = LOGGED.has(channel) && { asOf: snapshot.asOf }
    const payload = { channel, cause, ...range, ...asOf, messages: snapshot.messages.length }
    return envelope.body(payload, { type: 'subscription_gap', channel })
  }

  /** The state of a channel with the requested endings; the log continues it without a hole. */
  snapshot (name: ChannelName, { filter, endings: range }: SnapshotRequest): Snapshot {
    const { log, clock } = this.#deps
    const channel = this.#deps.channel(name)
    const offset = log.head(name)
    this.#usedAt.set(name, clock.monotonic())
    const payloads = [...channel.snapshot(), ...channel.endings?.(range, offset) ?? []]
    const { bodies, checksum } = this.#encodeAll(channel, payloads, filter)
    return { sequence: log.nextSequence, offset, asOf: { ...log.cursor(name), ...checksum }, messages: bodies }
  }

  /** The checksum of the current state, as part of an `asOf`; encodes nothing. */
  currentChecksum (name: ChannelName, filter: SubscriptionFilter | undefined): Checksum {
    const { log } = this.#deps
    const { checksumEntries, fits } = this.#deps.channel(name)
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

  /** To be called when changes of a channel are no longer recorded in the log. */
  invalidate (name: ChannelName): void {
    this.#checksums.delete(name)
    this.#last.delete(name)
  }

  /** Drops what was not needed for a while. */
  trim (): void {
    const oldestAt = this.#deps.clock.monotonic() - KEPT_FOR_MS
    for (const [name, usedAt] of this.#usedAt) {
      if (usedAt > oldestAt) continue
      this.#usedAt.delete(name)
      this.#last.delete(name)
      this.#deps.channel(name).forgetSnapshot?.()
    }
    if (this.#usedAt.size === 0) this.#states = new WeakMap()
  }

  #encodeAll (channel: Channel, payloads: readonly Payload[], filter: SubscriptionFilter | undefined): EncodedList {
    const last = this.#last.get(channel.name)
    if (filter === undefined && last !== undefined && isSame(last.payloads, payloads)) return last
    const all = payloads.map((payload) => this.#encode(channel, payload))
    const states = filter === undefined ? all : all.filter(({ body }) => channel.fits!(body.attributes!, filter))
    const checksum = channel.checksumEntry === undefined
      ? {}
      : { checksum: checksumOfHashes(states.flatMap(({ hash }) => hash ?? [])) }
    const list = { payloads, checksum, bodies: states.map(({ body }) => body) }
    if (filter === undefined) this.#last.set(channel.name, list)
    return list
  }

  #encode (channel: Channel, payload: Payload): EncodedState {
    const known = this.#states.get(payload)
    if (known !== undefined) return known
    const { attributes } = channel.delivery(payload)
    const entry = attributes && channel.checksumEntry?.(attributes)
    const body = this.#deps.envelope.body(payload, { type: channel.name, channel: channel.name, attributes })
    const state = { body, hash: entry && missionHash(entry) }
    this.#states.set(payload, state)
    return state
  }
}

const isSame = (some: readonly Payload[], others: readonly Payload[]): boolean =>
  some.length === others.length && some.every((payload, at) => payload === others[at])
