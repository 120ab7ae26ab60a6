import type { ChannelName } from '../../../schemas/channels/index.js'
import { CLOSE_CODES, type CloseReason } from '../../../schemas/messages/close-codes.js'
import type { Clock, Timer } from '../../base/clock.js'
import type { HubMetrics } from '../metrics.js'
import type { SubscriptionState } from '../delivery/log-reader.js'
import { Outbox, type SharedOutboxDeps, type FrameWriter } from '../delivery/outbox.js'
import { Liveness } from './liveness.js'
import { TokenBucket } from './token-bucket.js'

/** The little that a connection needs of a WebSocket, so that the hub knows no library and tests need no network. */
export interface Socket extends FrameWriter {
  ping (): void
  close (code: number, reason: string): void
  terminate (): void
}

/** What all connections of a hub share. */
export interface SharedConnectionDeps extends SharedOutboxDeps {
  clock: Clock
  counters: HubMetrics
  options: { maxMessagesPerSecond: number, maxBufferedBytes: number, pingMs: number, pongTimeoutMs: number }
}

export interface ConnectionDeps {
  id: string
  socket: Socket
  /** The request that opened the connection, handed to the host's command handlers. */
  request: unknown
  address: string
  shared: SharedConnectionDeps
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
  readonly subscriptions = new Map<ChannelName, SubscriptionState>()

  readonly #socket: Socket
  readonly #shared: SharedConnectionDeps
  readonly #rate: TokenBucket
  readonly #liveness: Liveness
  #isClosing = false
  #terminateTimer: Timer | undefined

  constructor ({ id, socket, request, address, shared }: ConnectionDeps) {
    const now = shared.clock.monotonic()
    this.id = id
    this.request = request
    this.address = address
    this.#socket = socket
    this.#shared = shared
    this.#rate = new TokenBucket(shared.options.maxMessagesPerSecond, now)
    this.#liveness = new Liveness(shared.options, now)
    this.outbox = new Outbox({
      writer: socket,
      shared,
      subscriptions: this.subscriptions,
      maxBytes: shared.options.maxBufferedBytes,
      onOverflow: () => this.close('slow_consumer')
    })
  }

  /** Whether our close frame is on its way; nothing a client says counts any more. */
  get isClosing (): boolean { return this.#isClosing }

  /** Counts one frame of the client; `false` when there were too many. */
  takeFrameToken (): boolean {
    return this.#rate.take(this.#shared.clock.monotonic())
  }

  /** The peer has said something, which shows that it is alive. */
  markAlive (): void {
    this.#liveness.markAlive()
  }

  /** Whether a pong is one that we asked for; such a pong is no frame that the client chose to send. */
  acceptPong (): boolean {
    const roundTripMs = this.#liveness.takePong(this.#shared.clock.monotonic())
    if (roundTripMs === undefined) return false
    if (!Number.isNaN(roundTripMs)) this.#shared.counters.pingRoundTrip.record(roundTripMs)
    return true
  }

  /**
   * Looks after the connection, in this turn of the event loop: asks for a sign of life, cuts off who gave none, and closes who takes nothing.
   * Gives the time at which it wants to be looked after again.
   */
  checkLiveness (now: number, tick: number): number {
    if (this.#isClosing) return Infinity
    this.outbox.checkProgress(now)
    if (this.outbox.hasBackpressure) {
      // A ping would only wait behind all that the peer has not read.
      this.#liveness.pause(now)
      return now
    }
    const due = this.#liveness.check(now, tick)
    if (due === 'dead') this.#socket.terminate()
    if (due === 'ping') this.#socket.ping()
    return this.#liveness.nextDue
  }

  /**
   * Says goodbye with the code and reason of the project's table, after all that still waits; only a slow consumer's backlog is
   * dropped. A peer that does not answer is cut off soon after.
   */
  close (reason: CloseReason): void {
    if (this.#isClosing) return
    if (reason !== 'slow_consumer') this.outbox.flushAll()
    this.failed(reason)
    this.#socket.close(CLOSE_CODES[reason].code, reason)
  }

  /** To be called when the socket's owner says goodbye by itself; nothing is sent any more, and the peer has the same time to go. */
  failed (reason: CloseReason): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#shared.counters.closed.add(reason)
    this.outbox.close()
    this.#terminateTimer = this.#shared.clock.after(CLOSE_GRACE_MS, () => this.#socket.terminate())
  }

  /** To be called when the socket is gone, whoever ended it. */
  closed (): void {
    this.#isClosing = true
    this.outbox.close()
    this.#terminateTimer?.cancel()
  }
}
