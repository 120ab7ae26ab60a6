import type { ChannelName } from '../../schemas/channels/index.js'
import { CLOSE_CODES, type CloseReason } from '../../schemas/messages/close-codes.js'
import type { Clock, Timer } from '../clock.js'
import type { HubCounters } from './counters.js'
import { Outbox, type Sink } from './outbox.js'
import { RateLimit } from './rate-limit.js'

/** The little that a connection needs of a WebSocket, so that the hub knows no library and tests need no network. */
export interface Socket extends Sink {
  ping (): void
  close (code: number, reason: string): void
  terminate (): void
}

export interface ConnectionSetup {
  id: string
  socket: Socket
  /** The request that opened the connection, handed to the host's command handlers. */
  request: unknown
  address: string
  clock: Clock
  counters: HubCounters
  maxMessagesPerSecond: number
  maxBufferedBytes: number
}

/** How long a peer may take to answer our close frame before its socket is cut, in ms. */
export const CLOSE_GRACE_MS = 2_000

/** One client: its subscriptions, its outbox, its rate and whether it still answers. */
export class Connection {
  readonly id: string
  readonly request: unknown
  readonly address: string
  readonly outbox: Outbox
  readonly subscriptions = new Set<ChannelName>()

  readonly #socket: Socket
  readonly #clock: Clock
  readonly #counters: HubCounters
  readonly #rate: RateLimit
  #isAnswering = true
  #owedPongs = 0
  #isClosing = false
  #cutOff: Timer | undefined

  constructor ({ id, socket, request, address, clock, counters, maxMessagesPerSecond, maxBufferedBytes }: ConnectionSetup) {
    this.id = id
    this.request = request
    this.address = address
    this.#socket = socket
    this.#clock = clock
    this.#counters = counters
    this.#rate = new RateLimit(maxMessagesPerSecond, clock.monotonic())
    this.outbox = new Outbox({
      sink: socket,
      maxBytes: maxBufferedBytes,
      onSent: (bytes) => {
        counters.messagesSentTotal++
        counters.bytesSentTotal += bytes
      },
      onReplaced: () => { counters.replacedTotal++ },
      onOverflow: () => this.close('slow_consumer')
    })
  }

  /** Whether our close frame is on its way; nothing a client says counts any more. */
  get isClosing (): boolean { return this.#isClosing }

  /** Counts one frame of the client; `false` when there were too many. */
  allowsFrame (): boolean {
    return this.#rate.take(this.#clock.monotonic())
  }

  /** The peer has answered a ping or said something else. */
  answered (): void {
    this.#isAnswering = true
  }

  /** Asks the peer for a sign of life; cuts it off if the last question is still open. */
  probe (): void {
    if (!this.#isAnswering) return this.#socket.terminate()
    this.#isAnswering = false
    this.#owedPongs++
    this.#socket.ping()
  }

  /** Whether a pong is one that we asked for; such a pong is no frame that the client chose to send. */
  takesPong (): boolean {
    if (this.#owedPongs === 0) return false
    this.#owedPongs--
    return true
  }

  /**
   * Says goodbye with the code and reason of the project's table, after all that still waits; only a slow consumer's backlog is
   * dropped. A peer that does not answer is cut off soon after.
   */
  close (reason: CloseReason): void {
    if (this.#isClosing) return
    if (reason !== 'slow_consumer') this.outbox.flush()
    this.failed(reason)
    this.#socket.close(CLOSE_CODES[reason].code, reason)
  }

  /** To be called when the socket's owner says goodbye by itself; nothing is sent any more, and the peer has the same time to go. */
  failed (reason: CloseReason): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#counters.closed.add(reason)
    this.outbox.close()
    this.#cutOff = this.#clock.after(CLOSE_GRACE_MS, () => this.#socket.terminate())
  }

  /** To be called when the socket is gone, whoever ended it. */
  closed (): void {
    this.#isClosing = true
    this.outbox.close()
    this.#cutOff?.cancel()
  }
}
