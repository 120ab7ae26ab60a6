import type { ChannelName } from '../../../schemas/channels/index.js'
import { CLOSE_CODES, type CloseReason } from '../../../schemas/messages/close-codes.js'
import type { Clock, Timer } from '../../base/clock.js'
import type { HubCounters } from '../metrics.js'
import type { Wanted } from '../delivery/log-reader.js'
import { Outbox, type OutboxShared, type Sink } from '../delivery/outbox.js'
import { Pulse } from './liveness.js'
import { RateLimit } from './token-bucket.js'

/** The little that a connection needs of a WebSocket, so that the hub knows no library and tests need no network. */
export interface Socket extends Sink {
  ping (): void
  close (code: number, reason: string): void
  terminate (): void
}

/** What all connections of a hub share. */
export interface ConnectionShared extends OutboxShared {
  clock: Clock
  counters: HubCounters
  options: { maxMessagesPerSecond: number, maxBufferedBytes: number, pingMs: number, pongTimeoutMs: number }
}

export interface ConnectionSetup {
  id: string
  socket: Socket
  /** The request that opened the connection, handed to the host's command handlers. */
  request: unknown
  address: string
  shared: ConnectionShared
}

/** How long a peer may take to answer our close frame before its socket is cut, in ms. */
export const CLOSE_GRACE_MS = 2_000

/** One client: its subscriptions, its outbox, its rate and whether it still answers. */
export class Connection {
  readonly id: string
  readonly request: unknown
  readonly address: string
  readonly outbox: Outbox
  /** Its subscriptions, and from where on it wants the messages of each. */
  readonly wanted = new Map<ChannelName, Wanted>()

  readonly #socket: Socket
  readonly #shared: ConnectionShared
  readonly #rate: RateLimit
  readonly #pulse: Pulse
  #isClosing = false
  #cutOff: Timer | undefined

  constructor ({ id, socket, request, address, shared }: ConnectionSetup) {
    const now = shared.clock.monotonic()
    this.id = id
    this.request = request
    this.address = address
    this.#socket = socket
    this.#shared = shared
    this.#rate = new RateLimit(shared.options.maxMessagesPerSecond, now)
    this.#pulse = new Pulse(shared.options, now)
    this.outbox = new Outbox({
      sink: socket,
      shared,
      wanted: this.wanted,
      maxBytes: shared.options.maxBufferedBytes,
      onOverflow: () => this.close('slow_consumer')
    })
  }

  /** Whether our close frame is on its way; nothing a client says counts any more. */
  get isClosing (): boolean { return this.#isClosing }

  /** Counts one frame of the client; `false` when there were too many. */
  allowsFrame (): boolean {
    return this.#rate.take(this.#shared.clock.monotonic())
  }

  /** The peer has said something, which shows that it is alive. */
  answered (): void {
    this.#pulse.answered()
  }

  /** Whether a pong is one that we asked for; such a pong is no frame that the client chose to send. */
  takesPong (): boolean {
    const roundTripMs = this.#pulse.takePong(this.#shared.clock.monotonic())
    if (roundTripMs === undefined) return false
    if (!Number.isNaN(roundTripMs)) this.#shared.counters.pingRoundTrip.record(roundTripMs)
    return true
  }

  /**
   * Looks after the connection, in this turn of the event loop: asks for a sign of life, cuts off who gave none, and closes who takes nothing.
   * Gives the time at which it wants to be looked after again.
   */
  sweep (now: number, turn: number): number {
    if (this.#isClosing) return Infinity
    this.outbox.sweep(now)
    if (this.outbox.isHeld) {
      // A ping would only wait behind all that the peer has not read.
      this.#pulse.rest(now)
      return now
    }
    const due = this.#pulse.due(now, turn)
    if (due === 'dead') this.#socket.terminate()
    if (due === 'ping') this.#socket.ping()
    return this.#pulse.nextDue
  }

  /**
   * Says goodbye with the code and reason of the project's table, after all that still waits; only a slow consumer's backlog is
   * dropped. A peer that does not answer is cut off soon after.
   */
  close (reason: CloseReason): void {
    if (this.#isClosing) return
    if (reason !== 'slow_consumer') this.outbox.finish()
    this.failed(reason)
    this.#socket.close(CLOSE_CODES[reason].code, reason)
  }

  /** To be called when the socket's owner says goodbye by itself; nothing is sent any more, and the peer has the same time to go. */
  failed (reason: CloseReason): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#shared.counters.closed.add(reason)
    this.outbox.close()
    this.#cutOff = this.#shared.clock.after(CLOSE_GRACE_MS, () => this.#socket.terminate())
  }

  /** To be called when the socket is gone, whoever ended it. */
  closed (): void {
    this.#isClosing = true
    this.outbox.close()
    this.#cutOff?.cancel()
  }
}
