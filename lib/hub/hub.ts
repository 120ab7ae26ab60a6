import { CHANNEL_NAMES, type ChannelName, type ChannelPayloads } from '../../schemas/channels/index.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { CLOSE_CODES, type CloseReason } from '../../schemas/messages/close-codes.js'
import { PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS } from '../../schemas/messages/server-messages.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { createUnifiedId, type Clock, type Timer } from '../base/clock.js'
import { Admission, REFUSALS, type RefusalReason } from './connections/admission.js'
import type { Channel } from './channel.js'
import { Connection, type ConnectionShared, type Socket } from './connections/connection.js'
import { HubCounters } from './metrics.js'
import { Dispatcher, type CommandPort, type DispatcherSetup } from './dispatcher.js'
import { Drain } from './connections/drain.js'
import { Envelope } from './wire/envelope.js'
import { Heartbeat } from './connections/heartbeat.js'
import { Permission } from './subscriptions/authorizer.js'
import { Publication } from './broadcaster.js'
import { Sweeper } from './connections/liveness-timer.js'

export interface HubSetup {
  clock: Clock
  server: ResolvedOptions['server']
  options: ResolvedOptions['websocket']
  channels: readonly Channel[]
  commands: CommandPort
  findMission: DispatcherSetup['findMission']
  onCallbackError: (where: string, err: unknown) => void
}

/** What the socket's owner calls; never throws. */
export interface ConnectionInput {
  message (data: Buffer): void
  ping (): void
  pong (): void
  /** The socket's owner closes the connection by itself, for this reason. */
  failed (reason: CloseReason): void
  /** The system has taken what was handed to the socket. */
  drained (): void
  /** The connection is to be closed for this reason. */
  refused (reason: CloseReason): void
  closed (): void
}

/**
 * The switchboard: who is connected, who listens to what, and one encoding of each message for all of them.
 * It knows neither missions nor Fastify.
 */
export class Hub {
  readonly #clock: Clock
  readonly #options: ResolvedOptions['websocket']
  readonly #onCallbackError: HubSetup['onCallbackError']
  readonly #envelope: Envelope
  readonly #connections = new Set<Connection>()
  readonly #publication: Publication
  readonly #shared: ConnectionShared
  readonly #sweeper: Sweeper
  readonly #dispatcher: Dispatcher
  readonly #heartbeat: Heartbeat
  readonly #counters = new HubCounters({
    refused: REFUSALS,
    closed: Object.keys(CLOSE_CODES),
    protocolErrors: [...Object.keys(PROTOCOL_ERRORS), ...Object.keys(SUBSCRIPTION_ERRORS)]
  })

  readonly #admission: Admission
  #timers: Timer[] = []
  #closing: Promise<void> | undefined
  #whenEmpty: (() => void) | undefined

  constructor ({ clock, server, options, channels, commands, findMission, onCallbackError }: HubSetup) {
    this.#clock = clock
    this.#options = options
    this.#onCallbackError = onCallbackError
    this.#envelope = new Envelope(clock, server)
    this.#admission = new Admission(options, { clock, refused: this.#counters.refused })
    const permission = new Permission(options.authorize, onCallbackError)
    const publication = new Publication({ clock, options, channels, envelope: this.#envelope, counters: this.#counters, permission })
    const { turn, log, recovery, fits, subscriptions, handOver } = publication
    this.#publication = publication
    this.#shared = { clock, counters: this.#counters, options, turn, log, recovery, fits, onHeld: () => this.#sweeper.by(0) }
    this.#sweeper = new Sweeper(clock, this.#connections, () => publication.sweep())
    this.#dispatcher = new Dispatcher({
      envelope: this.#envelope,
      subscriptions,
      counters: this.#counters,
      handOver,
      commands,
      maySubscribe: ({ request }, channel) => permission.allows(request, { action: 'subscribe', channel }),
      mayReplay: ({ request }, channel) => permission.allows(request, { action: 'replay', channel }),
      findMission,
      server
    })
    this.#heartbeat = new Heartbeat({ envelope: this.#envelope, log, intervalMs: options.heartbeatMs })
  }

  get isClosing (): boolean { return this.#admission.isClosing }

  /** Whether one more connection from this address may open, and if not, why; a refusal is counted. */
  admit (address: string): RefusalReason | undefined {
    return this.#admission.admit(address)
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    return this.#admission.refuse(reason)
  }

  /** Takes over an open socket that was admitted in this very step. The returned functions must be wired to it before anything else is awaited. */
  connect (socket: Socket, request: unknown, address: string): ConnectionInput {
    const connection = new Connection({ id: createUnifiedId('connection'), socket, request, address, shared: this.#shared })
    this.#add(connection)
    return {
      message: (data) => this.#received(connection, data),
      ping: () => { this.#accepts(connection) },
      pong: () => this.#receivedPong(connection),
      failed: (reason) => connection.failed(reason),
      drained: () => connection.outbox.drained(),
      refused: (reason) => connection.close(reason),
      closed: () => this.#remove(connection)
    }
  }

  /** Sends a payload to all subscribers of a channel. */
  publish<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name]): void {
    this.#publication.broadcast(name, payload)
  }

  wsMetrics (): WsMetrics {
    return {
      connectionsOpen: this.#connections.size,
      connectionsTotal: this.#counters.connectionsTotal,
      messagesSentTotal: this.#counters.messagesSentTotal,
      subscriptionsTotal: this.#counters.subscriptionsTotal,
      channels: CHANNEL_NAMES.map((channel) => ({ channel, count: this.#publication.subscriptions.count(channel) }))
    }
  }

  /** Everything that is counted, for the exposition. */
  totals () {
    const { messagesReceivedTotal, bytesSentTotal, replacedTotal, droppedTotal, laggedTotal, laggingMs } = this.#counters
    return {
      metrics: this.wsMetrics(),
      subscribers: new Map(CHANNEL_NAMES.map((name) => [name, this.#publication.subscriptions.count(name)])),
      messagesReceivedTotal,
      bytesSentTotal,
      replacedTotal,
      droppedTotal,
      laggedTotal,
      laggingMs,
      ...this.#readOutboxes(),
      logged: this.#publication.log.size,
      gaps: this.#counters.gaps.read(),
      outcomes: this.#counters.outcomes.read(),
      refused: this.#counters.refused.read(),
      closed: this.#counters.closed.read(),
      protocolErrors: this.#counters.protocolErrors.read(),
      pingRoundTrip: this.#counters.pingRoundTrip.read(),
      fanOut: this.#counters.fanOut.read(),
      drainMs: this.#counters.drainMs,
      loopLagMs: this.#admission.loopLagMs
    }
  }

  /** Begins to look at how late the event loop is. */
  start (): void {
    this.#admission.start()
  }

  /** From now on no connection is admitted; those that are open go on. */
  stopAdmitting (): void {
    this.#admission.end()
  }

  /**
   * Says goodbye to everybody, in waves over `withinMs`, and resolves once all are gone, which is at the latest when the close grace of the
   * last wave has passed. From the first call on no connection is admitted; a later call waits for the first, or, with no time left, ends it.
   */
  async close (withinMs = 0): Promise<void> {
    this.stopAdmitting()
    if (this.#closing !== undefined && withinMs === 0) this.#closeAll()
    await (this.#closing ??= this.#drain(withinMs))
    this.#admission.close()
    this.#publication.subscriptions.close()
  }

  async #drain (withinMs: number): Promise<void> {
    const startedAt = this.#clock.monotonic()
    if (this.#connections.size > 0) {
      const empty = new Promise<void>((resolve) => { this.#whenEmpty = resolve })
      new Drain({ clock: this.#clock, envelope: this.#envelope, connections: this.#connections }).start(withinMs)
      await empty
    }
    this.#counters.drainMs = this.#clock.monotonic() - startedAt
  }

  // A service that closes does not wait for the rest of its waves.
  #closeAll (): void {
    for (const connection of this.#connections) connection.close('server_restart')
  }

  #readOutboxes () {
    let outboxBytes = 0
    let lagging = 0
    for (const { outbox } of this.#connections) {
      outboxBytes += outbox.waitingBytes
      if (outbox.isLagging) lagging++
    }
    return { outboxBytes, lagging }
  }

  #add (connection: Connection): void {
    this.#connections.add(connection)
    this.#admission.opened(connection.address)
    this.#counters.connectionsTotal++
    if (this.#timers.length > 0) return
    this.#timers = [this.#clock.every(this.#options.heartbeatMs, () => this.#heartbeat.beat(this.#connections))]
    this.#sweeper.by(this.#clock.monotonic() + this.#options.pingMs)
  }

  #remove (connection: Connection): void {
    this.#connections.delete(connection)
    connection.closed()
    this.#publication.subscriptions.leaveAll(connection)
    this.#admission.closed(connection.address)
    if (this.#connections.size > 0) return
    for (const timer of this.#timers.splice(0)) timer.cancel()
    this.#sweeper.stop()
    this.#whenEmpty?.()
  }

  // A throw in a listener of a socket would end the host's process.
  #received (connection: Connection, data: Buffer): void {
    try {
      this.#counters.messagesReceivedTotal++
      if (this.#accepts(connection)) this.#dispatcher.dispatch(connection, data)
    } catch (err) {
      this.#onCallbackError('message', err)
      this.#dispatcher.fail(connection, 'internal_error')
    }
  }

  #receivedPong (connection: Connection): void {
    if (connection.takesPong()) connection.answered()
    else this.#accepts(connection)
  }

  #accepts (connection: Connection): boolean {
    if (connection.isClosing) return false
    connection.answered()
    if (connection.allowsFrame()) return true
    this.#dispatcher.fail(connection, 'rate_limited')
    connection.close('rate_limited')
    return false
  }
}
