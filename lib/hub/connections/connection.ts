import type { ChannelName } from '../../../schemas/channels/index.js'
import { CLOSE_CODES, type CloseReason } from '../../../schemas/messages/close-codes.js'
import type { Viewer } from '../../access/viewer.js'
import type { Clock, Timer } from '../../base/clock.js'
import { limitOwner } from '../../base/limits/limit-owner.js'
import type { SubscriptionState } from '../delivery/catch-up.js'
import { Outbox, type SharedOutboxDeps } from '../delivery/outbox.js'
import type { FrameWriter } from '../delivery/write-queue.js'
import { RequestBudget, type BudgetOwner, type BudgetOwners } from '../delivery/request-budget.js'
import { Liveness } from './liveness.js'
import { TokenBucket } from './token-bucket.js'

/**
 * The part of a WebSocket that a connection needs. The hub depends on no WebSocket library, and tests on no network.
 */
export interface Socket extends FrameWriter {
  ping (): void
  close (code: number, reason: string): void
  terminate (): void
}

/** Shared by all connections of a hub. */
export interface SharedConnectionDeps extends SharedOutboxDeps {
  clock: Clock
  budgetOwners: BudgetOwners
  options: { maxMessagesPerSecond: number, heartbeatMs: number }
}

export interface ConnectionDeps {
  id: string
  socket: Socket
  /** The request that opened the connection; passed to the host's command handlers. */
  request: unknown
  viewer: Viewer
  shared: SharedConnectionDeps
}

/**
 * Bytes of replies queued for a client that does not read; beyond it the connection is closed. The same limit applies
 * separately to replaceable messages. A client that reads never comes near it, and thousands that do not stay
 * affordable.
 */
const MAX_BUFFERED_BYTES = 524_288

/** How long a peer may take to answer our close frame before its socket is terminated, in ms. */
export const CLOSE_GRACE_MS = 2_000

/** The reasons after which the client gets no message any more: it does not read them, or may not. */
const DROPS_PENDING = new Set<CloseReason>(['slow_consumer', 'token_expired', 'unauthorised'])

/** One client: its subscriptions, outbox, rate limit and liveness. */
export class Connection {
  readonly id: string
  readonly request: unknown
  readonly viewer: Viewer
  readonly outbox: Outbox
  /** Limits the snapshots and replays that it may cause. */
  readonly handOvers: RequestBudget
  /** Limits the pages of missions and alerts that it may request. */
  readonly lists: RequestBudget
  /** The subscribed channels, each with the position from which its messages are sent. */
  readonly subscriptions = new Map<ChannelName, SubscriptionState>()
  /** How many messages had been created when the connection last left a channel; it may have received any of them. */
  leftAt = 0
  /** Messages of the client that wait until a subscribe or a list is carried out; `undefined` if there is none. */
  waiting: Buffer[] | undefined
  /** Whether the client has sent too much, and is about to be closed. */
  isLimited = false

  readonly #socket: Socket
  readonly #shared: SharedConnectionDeps
  readonly #rate: TokenBucket
  readonly #liveness: Liveness
  #isClosing = false
  readonly #budgetOwner: BudgetOwner
  #terminateTimer: Timer | undefined

  constructor ({ id, socket, request, viewer, shared }: ConnectionDeps) {
    const now = shared.clock.monotonic()
    this.id = id
    this.request = request
    this.viewer = viewer
    this.#socket = socket
    this.#shared = shared
    this.#rate = new TokenBucket(shared.options.maxMessagesPerSecond, now)
    this.#liveness = new Liveness(shared.options.heartbeatMs, now)
    this.#budgetOwner = shared.budgetOwners.opened(limitOwner(viewer, request))
    this.handOvers = new RequestBudget(shared.clock, this.#budgetOwner, 'handOvers')
    this.lists = new RequestBudget(shared.clock, this.#budgetOwner, 'lists')
    this.outbox = new Outbox({
      budget: this.handOvers,
      writer: socket,
      shared,
      subscriptions: this.subscriptions,
      maxBytes: MAX_BUFFERED_BYTES,
      onOverflow: () => this.close('slow_consumer')
    })
  }

  /** Whether the close frame was sent; from then on messages of the client are ignored. */
  get isClosing (): boolean { return this.#isClosing }

  /** Counts one frame of the client against its rate limit; `false` when the limit is exceeded. */
  takeFrameToken (): boolean {
    return this.#rate.take(this.#shared.clock.monotonic())
  }

  /** Any frame from the peer proves that it is alive. */
  markAlive (): void {
    this.#liveness.markAlive()
  }

  /** Returns whether a pong answers a ping of ours; such a pong does not count against the rate limit. */
  acceptPong (): boolean {
    const roundTripMs = this.#liveness.takePong(this.#shared.clock.monotonic())
    if (roundTripMs === undefined) return false
    if (!Number.isNaN(roundTripMs)) this.#shared.metrics.pingRoundTrip.record(roundTripMs)
    return true
  }

  /**
   * Pings the peer when that is due, terminates one that did not answer, and closes one that reads nothing. `tick`
   * counts turns of the event loop. Returns the time of the next check, in ms of the monotonic clock.
   */
  checkLiveness (now: number, tick: number): number {
    if (this.#isClosing) return Infinity
    this.outbox.checkProgress(now)
    if (this.outbox.hasBackpressure) {
      // A ping would only queue behind everything that the peer has not read.
      this.#liveness.pause(now)
      return now
    }
    const due = this.#liveness.check(now, tick)
    if (due === 'dead') this.#socket.terminate()
    if (due === 'ping') this.#socket.ping()
    return this.#liveness.nextDue
  }

  /**
   * Sends all pending messages and then a close frame with the code and reason from `CLOSE_CODES`. The pending messages
   * of a client that does not read, or may not any more, are dropped instead, and of a client that sends too much all
   * but the replies. A peer that does not answer is terminated after `CLOSE_GRACE_MS`.
   */
  close (reason: CloseReason): void {
    if (this.#isClosing) return
    if (reason === 'rate_limited') this.outbox.flushReplies()
    else if (!DROPS_PENDING.has(reason)) this.outbox.flushAll()
    this.beginClosing(reason)
    this.#socket.close(CLOSE_CODES[reason].code, reason)
  }

  /**
   * Sends nothing more, and terminates the peer after `CLOSE_GRACE_MS`. To be called alone if the WebSocket library
   * sends the close frame by itself.
   */
  beginClosing (reason: CloseReason): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#shared.metrics.closed.add(reason)
    this.outbox.close()
    this.#terminateTimer = this.#shared.clock.after(CLOSE_GRACE_MS, () => this.#socket.terminate())
  }

  terminate (): void {
    this.#socket.terminate()
  }

  /** To be called when the socket is closed, whichever side closed it. */
  closed (): void {
    this.#isClosing = true
    this.outbox.close()
    this.#terminateTimer?.cancel()
    const { budgetOwners, clock } = this.#shared
    budgetOwners.closed(this.#budgetOwner, clock.monotonic())
  }
}
