import type { ChannelName } from '../../schemas/channels/index.js'
import type { Clock } from '../clock.js'
import { Backlog } from './backlog.js'
import type { Batch, Writable } from './batch.js'
import { Lag, type LagSetup, type Start, type Wanted } from './lag.js'
import type { Convoy, Traveller } from './convoy.js'
import type { Message } from './message.js'
import { Writes, type Collector, type Turn } from './turn.js'

/** What an outbox writes to. */
export interface Sink {
  /** Bytes that were handed over and that the system has not taken yet. */
  readonly bufferedBytes: number
  /** Puts one write of a batch into `writes`, or hands it over at once. Gives its bytes; -1 if the peer does not keep up and nothing was done. */
  write (batch: Writable, writes: Writes): number
  /** Hands over messages in one write, without copying them together. Gives their bytes. */
  writeAll (messages: readonly Message[]): number
}

/** What all outboxes of a hub share. */
export interface OutboxShared extends Pick<LagSetup, 'log' | 'recovery' | 'fits'> {
  clock: Clock
  turn: Turn
  /** Called when a connection begins to hold messages back: it has to be looked after from now on. */
  onHeld: () => void
  counters: {
    messagesSentTotal: number
    bytesSentTotal: number
    replacedTotal: number
    droppedTotal: number
    laggedTotal: number
    laggingMs: number
  }
}

export interface OutboxSetup {
  sink: Sink
  shared: OutboxShared
  /** The channels of the connection, and from where on it wants the messages of each. */
  wanted: Map<ChannelName, Wanted>
  /** Bytes of replies, and of replaceable messages, that may wait. */
  maxBytes: number
  /** Called once, when more replies wait than may, or nothing was taken for too long. Nothing is queued or sent afterwards. */
  onOverflow: () => void
}

/** Above this many bytes on their way, messages wait here, where newer ones may still replace them. */
export const HIGH_WATER_BYTES = 65_536
/** Beyond either, the messages that must arrive are no longer kept for one connection: it reads them from the log. */
const MAX_LANE_BYTES = 262_144
const MAX_LANE_MESSAGES = 1_024
/** Up to here what a client is sent to be brought up to date leaves in one go. */
const MAX_DIRECT_BYTES = 131_072
const MAX_DIRECT_MESSAGES = 512
/** How long a connection may take nothing of what waits for it. */
const STALLED_MS = 30_000
/** Writes of one connection that catches up, after which others have their turn. */
const MAX_WRITES = 16

/**
 * The messages on their way to one connection. As long as it keeps up, those of one turn of the event loop leave together in the order
 * in which they were sent. When it does not, they wait in lanes.
 *
 * Promises: messages that must arrive do so once and in order, or the client is told of the gap; a replaceable message is never followed
 * by an older one of its key; what waits for one connection is bounded, and shared with others.
 */
export class Outbox implements Collector, Traveller {
  // First what every delivery needs, so that it lies together; the rest of the setup is apart for the same reason: each line and each object
  // on the way to a socket is one more to fetch.
  #batch: Batch | undefined
  #convoy: Convoy | undefined
  #isHeld = false
  #isClosed = false
  readonly #sink: Sink
  readonly #shared: OutboxShared
  #handedBytes = 0
  readonly #setup: OutboxSetup
  readonly #backlog = new Backlog()
  #lag: Lag | undefined
  #takenBytes = 0
  #takenAt = 0
  #sweptAt = 0

  constructor (setup: OutboxSetup) {
    this.#setup = setup
    this.#sink = setup.sink
    this.#shared = setup.shared
  }

  /** Whether messages wait because the peer does not read. */
  get isHeld (): boolean { return this.#isHeld }

  get isLagging (): boolean { return this.#lag !== undefined }

  /** Bytes that wait here, of messages that others may share. */
  get waitingBytes (): number { return this.#backlog.bytes }

  send (message: Message): void {
    if (this.#isClosed) return
    if (this.#isHeld) return this.#hold(message)
    this.#part()
    if (this.#batch === undefined) {
      this.#batch = this.#shared.turn.root
      this.#shared.turn.join(this)
    }
    this.#batch = this.#batch.add(message)
  }

  ride (convoy: Convoy): boolean {
    if (this.#isClosed || this.#isHeld || this.#batch !== undefined || this.#convoy !== undefined) return false
    this.#convoy = convoy
    this.#shared.turn.join(this)
    return true
  }

  rides (convoy: Convoy): boolean { return this.#convoy === convoy }

  flush (writes: Writes): void {
    const batch = this.#convoy?.batch ?? this.#batch
    this.#batch = this.#convoy = undefined
    if (this.#isClosed) return
    if (this.#isHeld) return this.#pump(MAX_WRITES)
    if (batch === undefined) return
    const bytes = this.#sink.write(batch, writes)
    if (bytes < 0) this.#startHolding(batch)
    else this.#count(batch.count, bytes)
  }

  /** To be called when the system has taken what was handed over. */
  drained (): void {
    if (this.#isHeld && !this.#isClosed) this.#pump(MAX_WRITES)
  }

  /**
   * Brings the client up to date in a channel that it has just been subscribed to: `messages`, then those of the log from `start` on. `lacking`
   * is the offset of the first message that it does not know until it has `messages`. However much that is, little of it waits here.
   */
  follow (channel: ChannelName, { start, lacking, messages }: { start: Start, lacking: number, messages: readonly Message[] }): void {
    const { log, fits } = this.#shared
    const filter = this.#setup.wanted.get(channel)?.filter
    const logged = [...log.from(channel, start.number)].filter((message) => fits(message, filter))
    const all = [...messages, ...logged]
    const isLittle = all.length <= MAX_DIRECT_MESSAGES && all.reduce((sum, { bytes }) => sum + bytes, 0) <= MAX_DIRECT_BYTES
    if (this.#isClosed) return
    if (this.#lag === undefined && isLittle) {
      for (const message of all) this.send(message)
      return
    }
    this.#holdFromNow()
    const lag = this.#lag ?? this.#startLag()
    lag.follow(channel, { start, lacking, messages })
  }

  /** Drops what waits of a channel, because the client does not want it any more. */
  leave (channel: ChannelName): void {
    this.#part()
    this.#lag?.leave(channel)
    this.#shared.counters.replacedTotal += this.#backlog.leave(channel)
  }

  /** Hands over everything that waits, however slow the peer is; for the last moment before a goodbye. */
  finish (): void {
    this.#part()
    const writes = new Writes()
    this.flush(writes)
    writes.flush()
    if (this.#isHeld && !this.#isClosed) this.#pump(Infinity, Infinity)
  }

  /** Looks after a connection that does not keep up. `now` is in ms that never go back. */
  sweep (now: number): void {
    if (!this.#isHeld || this.#isClosed) return
    if (this.isLagging) this.#shared.counters.laggingMs += now - Math.max(this.#sweptAt, this.#takenAt)
    this.#sweptAt = now
    this.drained()
    const takenBytes = this.#handedBytes - this.#sink.bufferedBytes
    if (takenBytes !== this.#takenBytes || this.#takenAt === 0) {
      this.#takenBytes = takenBytes
      this.#takenAt = now
    } else if (now - this.#takenAt >= STALLED_MS) {
      this.#setup.onOverflow()
    }
  }

  /** Drops everything that waits and takes nothing more. */
  close (): void {
    this.#part()
    this.#isClosed = true
    this.#shared.counters.droppedTotal += this.#backlog.count
    this.#backlog.clear()
    this.#batch = this.#lag = undefined
  }

  // From here on it gets something else than those it went along with.
  #part (): void {
    if (this.#convoy === undefined) return
    this.#batch = this.#convoy.part()
    this.#convoy = undefined
  }

  // From now on what is sent waits here; it is handed over at the end of the turn.
  #holdFromNow (): void {
    if (this.#isHeld) return
    this.#part()
    const batch = this.#batch
    this.#batch = undefined
    if (batch === undefined) this.#shared.turn.join(this)
    this.#startHolding(batch ?? this.#shared.turn.root)
  }

  #startHolding (batch: Batch): void {
    this.#isHeld = true
    this.#takenAt = 0
    this.#shared.onHeld()
    // Replies may now overtake the rest, so that what the client has left in this turn must not stay behind the answer to that.
    for (const message of batch.messages()) if (this.#isWanted(message)) this.#hold(message)
  }

  #isWanted ({ channel, place }: Message): boolean {
    if (channel === undefined) return true
    const from = this.#setup.wanted.get(channel)
    return from !== undefined && (place === undefined || place.number >= from.number)
  }

  #hold (message: Message): void {
    const { counters } = this.#shared
    if (message.forgets !== undefined && this.#backlog.forget(message.forgets)) counters.replacedTotal++
    if (message.place !== undefined) this.#holdLogged(message)
    else if (message.key !== undefined) this.#holdReplaceable(message.key, message)
    else this.#holdControl(message)
  }

  #holdControl (message: Message): void {
    this.#backlog.pushControl(message)
    if (this.#backlog.controlBytes > this.#setup.maxBytes) this.#setup.onOverflow()
  }

  #holdReplaceable (key: string, message: Message): void {
    if (this.#backlog.replace(key, message)) this.#shared.counters.replacedTotal++
    if (this.#backlog.replaceableBytes <= this.#setup.maxBytes) return
    this.#startLagging().lose(this.#backlog.dropReplaceable())
  }

  // A connection that lags finds the message in the log.
  #holdLogged (message: Message): void {
    if (this.#lag !== undefined) return
    this.#backlog.push(message)
    if (this.#backlog.mustArriveBytes > MAX_LANE_BYTES || this.#backlog.mustArrive.length > MAX_LANE_MESSAGES) this.#startLagging()
  }

  #startLagging (): Lag {
    if (this.#lag !== undefined) return this.#lag
    this.#shared.counters.laggedTotal++
    return this.#startLag()
  }

  // What is not sent of each channel begins with the first message that waits, or with the next one that is published.
  #unsent (): Map<ChannelName, Start> {
    const { log } = this.#shared
    const unsent = new Map<ChannelName, Start>()
    for (const channel of this.#setup.wanted.keys()) unsent.set(channel, { number: log.nextNumber, offset: log.head(channel) + 1 })
    for (const { place } of this.#backlog.mustArrive.toReversed()) unsent.set(place!.channel, { number: place!.number, offset: place!.offset })
    return unsent
  }

  // What waits of the log is given by it.
  #startLag (): Lag {
    const { clock, log, recovery, fits } = this.#shared
    const unsent = this.#unsent()
    this.#backlog.dropMustArrive()
    const outdate = (channel: ChannelName, made: number) => this.#backlog.outdate(channel, made)
    return (this.#lag = new Lag({ log, recovery, fits, wanted: this.#setup.wanted, unsent, since: clock.monotonic(), outdate }))
  }

  #pump (maxWrites: number, highWaterBytes = HIGH_WATER_BYTES): void {
    const sink = this.#sink
    for (let writes = 0; sink.bufferedBytes < highWaterBytes; writes++) {
      if (writes >= maxWrites) return this.#shared.turn.join(this)
      const messages = this.#takeSome()
      if (messages.length === 0) {
        this.#isHeld = false
        return
      }
      this.#count(messages.length, sink.writeAll(messages))
    }
  }

  #takeSome (): Message[] {
    const messages: Message[] = []
    for (let bytes = 0; bytes < HIGH_WATER_BYTES;) {
      const message = this.#next()
      if (message === undefined) break
      messages.push(message)
      bytes += message.bytes
    }
    return messages
  }

  #next (): Message | undefined {
    const control = this.#backlog.takeControl()
    if (control !== undefined) return control
    if (this.#lag !== undefined) {
      const missed = this.#lag.next()
      if (missed !== undefined) return missed
      this.#lag = undefined
    }
    return this.#backlog.takeMustArrive() ?? this.#backlog.takeReplaceable()
  }

  #count (messages: number, bytes: number): void {
    const { counters } = this.#shared
    counters.messagesSentTotal += messages
    counters.bytesSentTotal += bytes
    this.#handedBytes += bytes
  }
}
