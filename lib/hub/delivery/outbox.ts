import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Batch, Writable } from './batch.js'
import type { SharedBatch, Member } from './shared-batch.js'
import { PendingMessages, type CatchUp, type PendingDeps, type SharedPendingDeps } from './pending-messages.js'
import type { Message } from '../wire/message.js'
import { WriteQueue, type Flushable, type FlushScheduler } from './flush-scheduler.js'

/** What an outbox writes to. */
export interface FrameWriter {
  /** Bytes that were handed over and that the system has not taken yet. */
  readonly bufferedBytes: number
  /** Puts one write of a batch into `writes`, or hands it over at once. Gives its bytes; -1 if the peer does not keep up and nothing was done. */
  write (batch: Writable, writes: WriteQueue): number
  /** Hands over messages in one write, without copying them together. Gives their bytes. */
  writeAll (messages: readonly Message[]): number
}

/** What all outboxes of a hub share. */
export interface SharedOutboxDeps extends SharedPendingDeps {
  scheduler: FlushScheduler
  /** Called when a connection begins to hold messages back: it has to be looked after from now on. */
  onBackpressure: () => void
  counters: SharedPendingDeps['counters'] & {
    messagesSentTotal: number
    bytesSentTotal: number
    droppedTotal: number
    laggingMs: number
  }
}

export interface OutboxDeps extends PendingDeps {
  writer: FrameWriter
  shared: SharedOutboxDeps
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
export class Outbox implements Flushable, Member {
  // First what every delivery needs, so that it lies together; the rest of the setup is apart for the same reason: each line and each object
  // on the way to a socket is one more to fetch.
  #batch: Batch | undefined
  #sharedBatch: SharedBatch | undefined
  // There only while messages wait: a connection that keeps up has nothing of it in memory.
  #pending: PendingMessages | undefined
  #isClosed = false
  readonly #writer: FrameWriter
  readonly #shared: SharedOutboxDeps
  #writtenBytes = 0
  readonly #deps: OutboxDeps
  #acceptedBytes = 0
  #acceptedAt = 0
  #checkedAt = 0

  constructor (setup: OutboxDeps) {
    this.#deps = setup
    this.#writer = setup.writer
    this.#shared = setup.shared
  }

  /** Whether messages wait because the peer does not read. */
  get hasBackpressure (): boolean { return this.#pending !== undefined }

  get isLagging (): boolean { return this.#pending?.isLagging === true }

  /** Bytes that wait here, of messages that others may share. */
  get waitingBytes (): number { return this.#pending?.bytes ?? 0 }

  send (message: Message): void {
    if (this.#isClosed) return
    if (this.#pending !== undefined) return this.#pending.put(message)
    this.#detach()
    if (this.#batch === undefined) {
      this.#batch = this.#shared.scheduler.root
      this.#shared.scheduler.schedule(this)
    }
    this.#batch = this.#batch.add(message)
  }

  joinShared (convoy: SharedBatch): boolean {
    if (this.#isClosed || this.#pending !== undefined || this.#batch !== undefined || this.#sharedBatch !== undefined) return false
    this.#sharedBatch = convoy
    this.#shared.scheduler.schedule(this)
    return true
  }

  isMemberOf (convoy: SharedBatch): boolean { return this.#sharedBatch === convoy }

  flush (writes: WriteQueue): void {
    const batch = this.#sharedBatch?.batch ?? this.#batch
    this.#batch = this.#sharedBatch = undefined
    if (this.#isClosed) return
    if (this.#pending !== undefined) return this.#writePending(this.#pending, MAX_WRITES)
    if (batch === undefined) return
    const bytes = this.#writer.write(batch, writes)
    if (bytes < 0) this.#startPending(batch)
    else this.#count(batch.count, bytes)
  }

  /** To be called when the system has taken what was handed over. */
  drained (): void {
    if (this.#pending !== undefined) this.#writePending(this.#pending, MAX_WRITES)
  }

  /** Brings the client up to date in a channel that it has just been subscribed to. However much that is, little of it waits here. */
  catchUp (channel: ChannelName, how: CatchUp): void {
    const { log, fits } = this.#shared
    const { filter } = this.#deps.subscriptions.get(channel)!
    const logged = [...log.from(channel, how.start.sequence)].filter((message) => fits(message, filter))
    const all = [...how.messages, ...logged]
    const collectedBytes = this.#batch?.bytes ?? 0
    const isLittle = all.length <= MAX_DIRECT_MESSAGES && all.reduce((sum, { bytes }) => sum + bytes, collectedBytes) <= MAX_DIRECT_BYTES
    if (this.#isClosed) return
    if (isLittle && !this.isLagging) for (const message of all) this.send(message)
    else this.#ensurePending().catchUp(channel, how)
  }

  /** Drops what waits of a channel, because the client does not want it any more. */
  dropChannel (channel: ChannelName): void {
    this.#detach()
    // What was collected in this turn must not mix with what a new subscription begins with: it leaves now, or, if the peer is slow, not at all.
    if (this.#batch?.messages().some((message) => message.channel === channel) === true) this.#flushNow()
    this.#shared.counters.replacedTotal += this.#pending?.dropChannel(channel) ?? 0
  }

  /** Hands over everything that waits, however slow the peer is; for the last moment before a goodbye. */
  flushAll (): void {
    this.#detach()
    this.#flushNow()
    if (this.#pending !== undefined) this.#writePending(this.#pending, Infinity, Infinity)
  }

  /** Looks after a connection that does not keep up. `now` is in ms that never go back. */
  checkProgress (now: number): void {
    if (this.#pending === undefined) return
    if (this.isLagging) this.#shared.counters.laggingMs += now - Math.max(this.#checkedAt, this.#acceptedAt)
    this.#checkedAt = now
    this.drained()
    const takenBytes = this.#writtenBytes - this.#writer.bufferedBytes
    if (takenBytes !== this.#acceptedBytes || this.#acceptedAt === 0) {
      this.#acceptedBytes = takenBytes
      this.#acceptedAt = now
    } else if (now - this.#acceptedAt >= STALLED_MS) {
      this.#deps.onOverflow()
    }
  }

  /** Drops everything that waits and takes nothing more. */
  close (): void {
    this.#detach()
    this.#isClosed = true
    this.#shared.counters.droppedTotal += this.#pending?.count ?? 0
    this.#batch = this.#pending = undefined
  }

  #flushNow (): void {
    const writes = new WriteQueue()
    this.flush(writes)
    writes.flush()
  }

  // From here on it gets something else than those it went along with.
  #detach (): void {
    if (this.#sharedBatch === undefined) return
    this.#batch = this.#sharedBatch.detach()
    this.#sharedBatch = undefined
  }

  // From now on what is sent waits; it is handed over at the end of the turn.
  #ensurePending (): PendingMessages {
    if (this.#pending !== undefined) return this.#pending
    this.#detach()
    const batch = this.#batch ?? this.#shared.scheduler.root
    if (this.#batch === undefined) this.#shared.scheduler.schedule(this)
    this.#batch = undefined
    return this.#startPending(batch)
  }

  #startPending (batch: Batch): PendingMessages {
    const lanes = this.#pending = new PendingMessages(this.#deps)
    this.#acceptedAt = 0
    this.#shared.onBackpressure()
    // Replies may now overtake the rest, so that what the client has left in this turn must not stay behind the answer to that.
    for (const message of batch.messages()) if (this.#isSubscribed(message)) lanes.put(message)
    return lanes
  }

  #isSubscribed ({ channel, position }: Message): boolean {
    if (channel === undefined) return true
    const from = this.#deps.subscriptions.get(channel)
    return from !== undefined && (position === undefined || position.sequence >= from.sequence)
  }

  #writePending (lanes: PendingMessages, maxWrites: number, highWaterBytes = HIGH_WATER_BYTES): void {
    const sink = this.#writer
    for (let writes = 0; sink.bufferedBytes < highWaterBytes; writes++) {
      if (writes >= maxWrites) return this.#shared.scheduler.schedule(this)
      const messages = takeWrite(lanes)
      if (messages.length === 0) {
        this.#pending = undefined
        return
      }
      this.#count(messages.length, sink.writeAll(messages))
    }
  }

  #count (messages: number, bytes: number): void {
    const { counters } = this.#shared
    counters.messagesSentTotal += messages
    counters.bytesSentTotal += bytes
    this.#writtenBytes += bytes
  }
}

function takeWrite (lanes: PendingMessages): Message[] {
  const messages: Message[] = []
  for (let bytes = 0; bytes < HIGH_WATER_BYTES;) {
    const message = lanes.next()
    if (message === undefined) break
    messages.push(message)
    bytes += message.bytes
  }
  return messages
}
