import { LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../../schemas/channels/index.js'
import { checksumOfHashes, missionChecksum, missionHash } from '../../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { AsOf, GapCause } from '../../../schemas/messages/server-messages.js'
import type { Clock } from '../../base/clock.js'
import type { Channel, EndingsRange, Selection } from '../channel.js'
import type { MessageEnvelope } from '../wire/envelope.js'
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
  /** The number of states that were read for it, also those that do not match the filter. */
  readCount: number
}

/** What a subscriber was handed over: a snapshot, messages of the log, or both. */
export interface HandOver { messages: ReadonlyArray<{ readonly bytes: number }>, readCount: number }

export interface SnapshotRequest { filter: SubscriptionFilter | undefined, endings: EndingsRange }

export interface SnapshotCacheDeps {
  clock: Clock
  envelope: MessageEnvelope
  log: MessageLog
  channel: (name: ChannelName) => Channel
  onGap: (cause: GapCause) => void
}

/** `hash` is the part of the checksum; absent for states that the checksum does not cover. */
interface EncodedState { body: MessageBody, hash: number | undefined }

/** States of a snapshot in their order, and how many were read for it. */
interface EncodedList { readCount: number, bodies: MessageBody[], hashes: number[] }

/** The states that match a filter, until one of them changes; `takenAt` is in ms of the monotonic clock. */
interface SharedList extends Readonly<EncodedList> { readonly takenAt: number }

type Payload = ChannelPayloads[ChannelName]

type Checksum = Pick<AsOf, 'checksum'>

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** The cost of encoding a state compared to reading it: a constant part and one for its size. */
const ENCODE_COST = 20
const BYTES_PER_COST = 64
/** The cost of one step, which is small compared to that of a turn of the event loop. */
const STEP_COST = 1_000

/** What reading a state costs, compared to sending bytes. */
const READ_BYTES = 16
/** A smaller state counts as one of this size: handing it over costs next to nothing. */
const MIN_STATE_BYTES = 65_536

/** A list is shared for so long and from so many states on; a smaller one costs nothing. */
const SHARED_FOR_MS = 20
const SHARED_FROM = 256
/** The number of filters for which lists are shared. */
const MAX_SHARED = 64

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
  /** By filter; emptied at each change. Not of viewers: their rights may change. */
  readonly #shared = new Map<ChannelName, Map<string, SharedList>>()
  /** Of all states that were encoded so far. */
  readonly #encoded = new Map<ChannelName, { bytes: number, count: number }>()
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
  snapshot (name: ChannelName, request: SnapshotRequest): Snapshot {
    const steps = this.steps(name, request)
    for (;;) {
      const { done, value } = steps.next(false)
      if (done === true) return value!
    }
  }

  /**
   * The same in small steps, each of which yields its cost. Returns `undefined` if the event loop turned between two of
   * them, because then it is not the present any more. `snapshot` has little left to do afterwards: it encodes only
   * what changed meanwhile.
   */
  * steps (
    name: ChannelName, { filter, endings }: SnapshotRequest
  ): Generator<number, Snapshot | undefined, boolean> {
    const { clock, log } = this.#deps
    const channel = this.#deps.channel(name)
    const offset = log.head(name)
    this.#usedAt.set(name, clock.monotonic())
    const key = (filter as Selection | undefined)?.viewer === undefined ? JSON.stringify(filter) ?? '' : undefined
    const states = this.#findShared(name, key) ?? (yield * this.#encodeAll(channel, channel.snapshot(filter), filter))
    const ended = states &&
      (yield * this.#encodeAll(channel, channel.endings?.(endings, offset, filter) ?? [], filter))
    if (ended === undefined) return undefined
    this.#share(name, key, states!)
    const { bodies, hashes } = states!
    return {
      sequence: log.nextSequence,
      offset,
      asOf: { ...log.cursor(name), ...channel.checksumEntry && { checksum: checksumOfHashes(hashes) } },
      messages: [...bodies, ...ended.bodies],
      readCount: ended.readCount + states!.readCount
    }
  }

  /** The cost of a hand-over as a part of the whole state of the channel. */
  costOf (name: ChannelName, { messages, readCount }: HandOver): number {
    const size = this.#deps.channel(name).size?.()
    if (size === undefined) return 0
    const { bytes, count } = this.#encoded.get(name) ?? { bytes: 0, count: 1 }
    const sent = messages.reduce((sum, { bytes }) => sum + bytes, 0)
    return (sent + readCount * READ_BYTES) / Math.max(MIN_STATE_BYTES, size * bytes / count)
  }

  /** To be called when the state of a channel has changed. */
  changed (name: ChannelName): void {
    this.#shared.get(name)?.clear()
  }

  /** The checksum of the current state, as part of an `asOf`; encodes nothing. */
  currentChecksum (name: ChannelName, filter: SubscriptionFilter | undefined): Checksum {
    const { log } = this.#deps
    const { checksumEntries, fits } = this.#deps.channel(name)
    if (checksumEntries === undefined) return {}
    if (filter !== undefined) {
      return { checksum: missionChecksum(checksumEntries(filter).filter((entry) => fits!(entry, filter))) }
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
    this.changed(name)
    this.#checksums.delete(name)
  }

  /** Drops what was not needed for a while. */
  trim (): void {
    const oldestAt = this.#deps.clock.monotonic() - KEPT_FOR_MS
    for (const [name, usedAt] of this.#usedAt) {
      if (usedAt > oldestAt) continue
      this.#usedAt.delete(name)
      this.changed(name)
      this.#deps.channel(name).forgetSnapshot?.()
    }
    if (this.#usedAt.size === 0) this.#states = new WeakMap()
  }

  #findShared (name: ChannelName, key: string | undefined): SharedList | undefined {
    const shared = key === undefined ? undefined : this.#shared.get(name)?.get(key)
    const isPresent = shared !== undefined && this.#deps.clock.monotonic() <= shared.takenAt + SHARED_FOR_MS
    return isPresent ? { ...shared, readCount: 1 } : undefined
  }

  #share (name: ChannelName, key: string | undefined, list: EncodedList): void {
    if (key === undefined || list.readCount < SHARED_FROM) return
    const lists = this.#shared.get(name) ?? new Map<string, SharedList>()
    if (lists.size >= MAX_SHARED) lists.clear()
    this.#shared.set(name, lists.set(key, { ...list, takenAt: this.#deps.clock.monotonic() }))
  }

  // Returns `undefined` if the event loop has turned meanwhile.
  * #encodeAll (
    channel: Channel, payloads: Iterable<Payload | undefined>, filter: SubscriptionFilter | undefined
  ): Generator<number, EncodedList | undefined, boolean> {
    const list: EncodedList = { readCount: 0, bodies: [], hashes: [] }
    let hasTurned = false
    let cost = 0
    for (const payload of payloads) {
      cost += this.#add(channel, payload, filter, list)
      if (cost < STEP_COST) continue
      if (yield cost) hasTurned = true
      cost = 0
    }
    if (yield cost) hasTurned = true
    return hasTurned ? undefined : list
  }

  // Adds one state to a snapshot if it matches. Returns the cost.
  #add (
    channel: Channel, payload: Payload | undefined, filter: SubscriptionFilter | undefined, list: EncodedList
  ): number {
    list.readCount++
    if (payload === undefined) return 1
    const known = this.#states.get(payload)
    const attributes = known === undefined ? channel.delivery(payload).attributes : known.body.attributes
    if (filter !== undefined && !channel.fits!(attributes!, filter)) return 1
    const { body, hash } = known ?? this.#encode(channel, payload, attributes)
    list.bodies.push(body)
    if (hash !== undefined) list.hashes.push(hash)
    return known === undefined ? ENCODE_COST + body.bytes / BYTES_PER_COST : 1
  }

  #encode (channel: Channel, payload: Payload, attributes: object | undefined): EncodedState {
    const entry = attributes && channel.checksumEntry?.(attributes)
    const body = this.#deps.envelope.body(payload, { type: channel.name, channel: channel.name, attributes })
    const { bytes, count } = this.#encoded.get(channel.name) ?? { bytes: 0, count: 0 }
    this.#encoded.set(channel.name, { bytes: bytes + body.bytes, count: count + 1 })
    const state = { body, hash: entry && missionHash(entry) }
    this.#states.set(payload, state)
    return state
  }
}
