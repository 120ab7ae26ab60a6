import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { GapCause } from '../../schemas/messages/server-messages.js'
import type { Clock } from '../clock.js'
import type { Envelope } from './envelope.js'
import type { Log } from './log.js'
import { Message } from './message.js'

/** Why messages are missing; of those that had a place in the log, the offsets of the first and the last. */
export type Gap = { cause: 'trimmed', from: number, to: number } | { cause: 'overflow' }

/**
 * The state of a channel: messages of the log with `number` and later are not in it, and neither are replaceable ones with `made` and
 * later. `offset` is the last one of the channel that is.
 */
export interface Snapshot { number: number, offset: number, made: number, messages: readonly Message[] }

export interface RecoverySetup {
  clock: Clock
  envelope: Envelope
  log: Log
  /** What a channel's subscriber must know to have its whole present state. */
  read: (channel: ChannelName) => ChannelPayloads[ChannelName][]
  onGap: (cause: GapCause) => void
}

/** How long a snapshot serves all who need one; what happened since comes after it from the log. */
const SNAPSHOT_MS = 5_000

/**
 * What takes the place of messages that are lost: word of the gap, and a snapshot. A thousand connections that come back to life
 * together share one snapshot.
 */
export class Recovery {
  readonly #setup: RecoverySetup
  readonly #snapshots = new Map<ChannelName, Snapshot & { madeAt: number }>()

  constructor (setup: RecoverySetup) {
    this.#setup = setup
  }

  gap (channel: ChannelName, gap: Gap): Message {
    const { envelope, log, onGap } = this.#setup
    onGap(gap.cause)
    const range = gap.cause === 'trimmed' ? { range: { epoch: log.epoch, from: gap.from, to: gap.to } } : {}
    return envelope.message('subscription_gap', { payload: { channel, cause: gap.cause, ...range } }, { traits: { channel } })
  }

  /** A snapshot from which on the log has everything, taken at `notBefore` (ms of the monotonic clock) or later. */
  snapshot (channel: ChannelName, notBefore: number): Snapshot {
    const { clock, envelope, log, read } = this.#setup
    const now = clock.monotonic()
    const known = this.#snapshots.get(channel)
    if (known !== undefined && known.madeAt >= Math.max(notBefore, now - SNAPSHOT_MS) && known.number >= log.firstNumber) return known
    const messages = read(channel).map((payload) => envelope.message(channel, { payload } as never, { traits: { channel } }))
    const snapshot = { number: log.nextNumber, offset: log.head(channel), made: Message.made, messages, madeAt: now }
    this.#snapshots.set(channel, snapshot)
    return snapshot
  }

  /** Lets go of snapshots that no longer serve. */
  sweep (): void {
    const now = this.#setup.clock.monotonic()
    for (const [channel, { madeAt }] of this.#snapshots) if (now - madeAt >= SNAPSHOT_MS) this.#snapshots.delete(channel)
  }
}
