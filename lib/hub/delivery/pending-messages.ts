import type { ChannelName } from '../../../schemas/channels/index.js'
import type { Clock } from '../../base/clock.js'
import { Backlog } from './backlog.js'
import { Lag, type LagSetup, type Start, type Wanted } from './log-reader.js'
import type { Message } from '../wire/message.js'

export interface LanesShared extends Pick<LagSetup, 'log' | 'recovery' | 'fits'> {
  clock: Clock
  counters: { replacedTotal: number, laggedTotal: number }
}

export interface LanesSetup {
  shared: LanesShared
  /** The channels of the connection, and what it wants of each. */
  wanted: Map<ChannelName, Wanted>
  /** Bytes of replies, and of replaceable messages, that may wait. */
  maxBytes: number
  /** More replies wait than may. */
  onOverflow: () => void
}

/** How a client is brought up to date in a channel: `messages`, and then those of the log from `start` on. */
export interface CatchUp {
  start: Start
  /** The offset of the first message that the client does not know until it has `messages`. */
  lacking: number
  messages: readonly Message[]
}

/** Beyond either, the messages that must arrive are no longer kept for one connection: it reads them from the log. */
const MAX_LANE_BYTES = 262_144
const MAX_LANE_MESSAGES = 1_024

/**
 * What waits for one connection that does not keep up, and the order in which it will go: replies, then what must arrive, or, where that is too
 * much, a way through the log, and then of each replaceable kind the newest. Bounded, whatever is published.
 */
export class Lanes {
  readonly #setup: LanesSetup
  readonly #backlog = new Backlog()
  #lag: Lag | undefined

  constructor (setup: LanesSetup) {
    this.#setup = setup
  }

  get isLagging (): boolean { return this.#lag !== undefined }

  /** Bytes that wait here, of messages that others may share. */
  get bytes (): number { return this.#backlog.bytes }

  get count (): number { return this.#backlog.count }

  put (message: Message): void {
    const { counters } = this.#setup.shared
    if (message.forgets !== undefined && this.#backlog.forget(message.forgets)) counters.replacedTotal++
    if (message.place !== undefined) this.#putLogged(message)
    else if (message.key !== undefined) this.#putReplaceable(message.key, message)
    else this.#putControl(message)
  }

  /** Has the client brought up to date by way of the log. */
  follow (channel: ChannelName, how: CatchUp): void {
    const lag = this.#lag ?? this.#startLag()
    lag.follow(channel, how)
  }

  /** Drops what waits of a channel. Gives how many replaceable messages there were. */
  leave (channel: ChannelName): number {
    this.#lag?.leave(channel)
    return this.#backlog.leave(channel)
  }

  /** The next message to be sent; `undefined` when nothing waits. */
  next (): Message | undefined {
    const control = this.#backlog.takeControl()
    if (control !== undefined) return control
    if (this.#lag !== undefined) {
      const missed = this.#lag.next()
      if (missed !== undefined) return missed
      this.#lag = undefined
    }
    return this.#backlog.takeMustArrive() ?? this.#backlog.takeReplaceable()
  }

  #putControl (message: Message): void {
    this.#backlog.pushControl(message)
    if (this.#backlog.controlBytes > this.#setup.maxBytes) this.#setup.onOverflow()
  }

  #putReplaceable (key: string, message: Message): void {
    if (this.#backlog.replace(key, message)) this.#setup.shared.counters.replacedTotal++
    if (this.#backlog.replaceableBytes <= this.#setup.maxBytes) return
    this.#fallBehind().lose(this.#backlog.dropReplaceable())
  }

  // A connection that lags finds the message in the log.
  #putLogged (message: Message): void {
    if (this.#lag !== undefined) return
    this.#backlog.push(message)
    if (this.#backlog.mustArriveBytes > MAX_LANE_BYTES || this.#backlog.mustArrive.length > MAX_LANE_MESSAGES) this.#fallBehind()
  }

  #fallBehind (): Lag {
    if (this.#lag !== undefined) return this.#lag
    this.#setup.shared.counters.laggedTotal++
    return this.#startLag()
  }

  // What waits of the log is given by it.
  #startLag (): Lag {
    const { clock, log, recovery, fits } = this.#setup.shared
    const unsent = this.#unsent()
    this.#backlog.dropMustArrive()
    const outdate = (channel: ChannelName, made: number) => this.#backlog.outdate(channel, made)
    return (this.#lag = new Lag({ log, recovery, fits, wanted: this.#setup.wanted, unsent, since: clock.monotonic(), outdate }))
  }

  // What is not sent of each channel begins with the first message that waits, or with the next one that is published.
  #unsent (): Map<ChannelName, Start> {
    const { log } = this.#setup.shared
    const unsent = new Map<ChannelName, Start>()
    for (const channel of this.#setup.wanted.keys()) unsent.set(channel, { number: log.nextNumber, offset: log.head(channel) + 1 })
    for (const { place } of this.#backlog.mustArrive.toReversed()) unsent.set(place!.channel, { number: place!.number, offset: place!.offset })
    return unsent
  }
}
