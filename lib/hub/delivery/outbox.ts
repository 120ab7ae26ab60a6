import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Batch, Writable } from './batch.js'
import type { Convoy, Traveller } from './shared-batch.js'
import { Lanes, type CatchUp, type LanesSetup, type LanesShared } from './pending-messages.js'
import type { Message } from '../wire/message.js'
import { Writes, type Collector, type Turn } from './flush-scheduler.js'

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
export interface OutboxShared extends LanesShared {
  turn: Turn
  /** Called when a connection begins to hold messages back: it has to be looked after from now on. */
  onHeld: () => void
  counters: LanesShared['counters'] & {
    messagesSentTotal: number
    bytesSentTotal: number
    droppedTotal: number
    laggingMs: number
  }
}

export interface OutboxSetup extends LanesSetup {
  sink: Sink
  shared: OutboxShared
  /** Called once, when more replies wait than may, or nothing was taken for too long. Nothing is queued or sent afterwards. */
  onOverflow: () => void
}

/** Above this many bytes on their way, messages wait here, where newer ones may still replace them. */
export const HIGH_WATER_BYTES = 65_536
/** Up to here what a client is sent to be brought up to date leaves in one go, with all else that it gets in the turn. */
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
  // There only while messages wait: a connection that keeps up has nothing of it in memory.
  #lanes: Lanes | undefined
  #isClosed = false
  readonly #sink: Sink
  readonly #shared: OutboxShared
  #handedBytes = 0
  readonly #setup: OutboxSetup
  #takenBytes = 0
  #takenAt = 0
  #sweptAt = 0

  constructor (setup: OutboxSetup) {
    this.#setup = setup
    this.#sink = setup.sink
    this.#shared = setup.shared
  }

  /** Whether messages wait because the peer does not read. */
  get isHeld (): boolean { return this.#lanes !== undefined }

  get isLagging (): boolean { return this.#lanes?.isLagging === true }

  /** Bytes that wait here, of messages that others may share. */
  get waitingBytes (): number { return this.#lanes?.bytes ?? 0 }

  send (message: Message): void {
    if (this.#isClosed) return
    if (this.#lanes !== undefined) return this.#lanes.put(message)
    this.#part()
    if (this.#batch === undefined) {
      this.#batch = this.#shared.turn.root
      this.#shared.turn.join(this)
    }
    this.#batch = this.#batch.add(message)
  }

  ride (convoy: Convoy): boolean {
    if (this.#isClosed || this.#lanes !== undefined || this.#batch !== undefined || this.#convoy !== undefined) return false
    this.#convoy = convoy
    this.#shared.turn.join(this)
    return true
  }

  rides (convoy: Convoy): boolean { return this.#convoy === convoy }

  flush (writes: Writes): void {
    const batch = this.#convoy?.batch ?? this.#batch
    this.#batch = this.#convoy = undefined
    if (this.#isClosed) return
    if (this.#lanes !== undefined) return this.#pump(this.#lanes, MAX_WRITES)
    if (batch === undefined) return
    const bytes = this.#sink.write(batch, writes)
    if (bytes < 0) this.#hold(batch)
    else this.#count(batch.count, bytes)
  }

  /** To be called when the system has taken what was handed over. */
  drained (): void {
    if (this.#lanes !== undefined) this.#pump(this.#lanes, MAX_WRITES)
  }

  /** Brings the client up to date in a channel that it has just been subscribed to. However much that is, little of it waits here. */
  follow (channel: ChannelName, how: CatchUp): void {
    const { log, fits } = this.#shared
    const { filter } = this.#setup.wanted.get(channel)!
    const logged = [...log.from(channel, how.start.number)].filter((message) => fits(message, filter))
    const all = [...how.messages, ...logged]
    const collectedBytes = this.#batch?.bytes ?? 0
    const isLittle = all.length <= MAX_DIRECT_MESSAGES && all.reduce((sum, { bytes }) => sum + bytes, collectedBytes) <= MAX_DIRECT_BYTES
    if (this.#isClosed) return
    if (isLittle && !this.isLagging) for (const message of all) this.send(message)
    else this.#holdFromNow().follow(channel, how)
  }

  /** Drops what waits of a channel, because the client does not want it any more. */
  leave (channel: ChannelName): void {
    this.#part()
    // What was collected in this turn must not mix with what a new subscription begins with: it leaves now, or, if the peer is slow, not at all.
    if (this.#batch?.messages().some((message) => message.channel === channel) === true) this.#flushNow()
    this.#shared.counters.replacedTotal += this.#lanes?.leave(channel) ?? 0
  }

  /** Hands over everything that waits, however slow the peer is; for the last moment before a goodbye. */
  finish (): void {
    this.#part()
    this.#flushNow()
    if (this.#lanes !== undefined) this.#pump(this.#lanes, Infinity, Infinity)
  }

  /** Looks after a connection that does not keep up. `now` is in ms that never go back. */
  sweep (now: number): void {
    if (this.#lanes === undefined) return
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
    this.#shared.counters.droppedTotal += this.#lanes?.count ?? 0
    this.#batch = this.#lanes = undefined
  }

  #flushNow (): void {
    const writes = new Writes()
    this.flush(writes)
    writes.flush()
  }

  // From here on it gets something else than those it went along with.
  #part (): void {
    if (this.#convoy === undefined) return
    this.#batch = this.#convoy.part()
    this.#convoy = undefined
  }

  // From now on what is sent waits; it is handed over at the end of the turn.
  #holdFromNow (): Lanes {
    if (this.#lanes !== undefined) return this.#lanes
    this.#part()
    const batch = this.#batch ?? this.#shared.turn.root
    if (this.#batch === undefined) this.#shared.turn.join(this)
    this.#batch = undefined
    return this.#hold(batch)
  }

  #hold (batch: Batch): Lanes {
    const lanes = this.#lanes = new Lanes(this.#setup)
    this.#takenAt = 0
    this.#shared.onHeld()
    // Replies may now overtake the rest, so that what the client has left in this turn must not stay behind the answer to that.
    for (const message of batch.messages()) if (this.#isWanted(message)) lanes.put(message)
    return lanes
  }

  #isWanted ({ channel, place }: Message): boolean {
    if (channel === undefined) return true
    const from = this.#setup.wanted.get(channel)
    return from !== undefined && (place === undefined || place.number >= from.number)
  }

  #pump (lanes: Lanes, maxWrites: number, highWaterBytes = HIGH_WATER_BYTES): void {
    const sink = this.#sink
    for (let writes = 0; sink.bufferedBytes < highWaterBytes; writes++) {
      if (writes >= maxWrites) return this.#shared.turn.join(this)
      const messages = takeSome(lanes)
      if (messages.length === 0) {
        this.#lanes = undefined
        return
      }
      this.#count(messages.length, sink.writeAll(messages))
    }
  }

  #count (messages: number, bytes: number): void {
    const { counters } = this.#shared
    counters.messagesSentTotal += messages
    counters.bytesSentTotal += bytes
    this.#handedBytes += bytes
  }
}

function takeSome (lanes: Lanes): Message[] {
  const messages: Message[] = []
  for (let bytes = 0; bytes < HIGH_WATER_BYTES;) {
    const message = lanes.next()
    if (message === undefined) break
    messages.push(message)
    bytes += message.bytes
  }
  return messages
}
