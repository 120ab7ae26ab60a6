import { CHANNEL_NAMES, type ChannelName, type ChannelPayloads } from '../../schemas/channels/index.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { CLOSE_CODES, type CloseReason } from '../../schemas/messages/close-codes.js'
import { PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS } from '../../schemas/messages/server-messages.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { createUnifiedId, type Clock, type Timer } from '../base/clock.js'
import { Admission, REFUSALS, type RefusalReason } from './connections/admission.js'
import type { Channel } from './channel.js'
import { Connection, type SharedConnectionDeps, type Socket } from './connections/connection.js'
import { HubMetrics } from './metrics.js'
import { Dispatcher, type CommandPort, type DispatcherDeps } from './dispatcher.js'
import { Drain } from './connections/drain.js'
import { Envelope } from './wire/envelope.js'
import { Heartbeat } from './connections/heartbeat.js'
import { Authorizer } from './subscriptions/authorizer.js'
import { Broadcaster } from './broadcaster.js'
import { LivenessTimer } from './connections/liveness-timer.js'

export interface HubDeps {
  clock: Clock
  server: ResolvedOptions['server']
  options: ResolvedOptions['websocket']
  channels: readonly Channel[]
  commands: CommandPort
  findMission: DispatcherDeps['findMission']
  onCallbackError: (where: string, err: unknown) => void
}

/** What the socket's owner calls; never throws. */
export interface SocketEvents {
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
  readonly #onCallbackError: HubDeps['onCallbackError']
  readonly #envelope: Envelope
  readonly #connections = new Set<Connection>()
  readonly #broadcaster: Broadcaster
  readonly #connectionDeps: SharedConnectionDeps
  readonly #livenessTimer: LivenessTimer
  readonly #dispatcher: Dispatcher
  readonly #heartbeat: Heartbeat
  readonly #metrics = new HubMetrics({
    refused: REFUSALS,
    closed: Object.keys(CLOSE_CODES),
    protocolErrors: [...Object.keys(PROTOCOL_ERRORS), ...Object.keys(SUBSCRIPTION_ERRORS)]
  })

  readonly #admission: Admission
  #timers: Timer[] = []
  #closing: Promise<void> | undefined
  #whenEmpty: (() => void) | undefined

  constructor ({ clock, server, options, channels, commands, findMission, onCallbackError }: HubDeps) {
    this.#clock = clock
    this.#options = options
    this.#onCallbackError = onCallbackError
    this.#envelope = new Envelope(clock, server)
    this.#admission = new Admission(options, { clock, refused: this.#metrics.refused })
    const authorizer = new Authorizer(options.authorize, onCallbackError)
    const broadcaster = new Broadcaster({ clock, options, channels, envelope: this.#envelope, counters: this.#metrics, authorizer })
    const { scheduler, log, snapshots, fits, subscriptions, subscribeFlow } = broadcaster
    this.#broadcaster = broadcaster
    this.#connectionDeps = { clock, counters: this.#metrics, options, scheduler, log, snapshots, fits, onBackpressure: () => this.#livenessTimer.scheduleAt(0) }
    this.#livenessTimer = new LivenessTimer(clock, this.#connections, () => broadcaster.trim())
    this.#dispatcher = new Dispatcher({
      envelope: this.#envelope,
      subscriptions,
      metrics: this.#metrics,
      subscribeFlow,
      commands,
      canSubscribe: ({ request }, channel) => authorizer.allows(request, { action: 'subscribe', channel }),
      canReplay: ({ request }, channel) => authorizer.allows(request, { action: 'replay', channel }),
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
  connect (socket: Socket, request: unknown, address: string): SocketEvents {
    const connection = new Connection({ id: createUnifiedId('connection'), socket, request, address, shared: this.#connectionDeps })
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
    this.#broadcaster.broadcast(name, payload)
  }

  wsMetrics (): WsMetrics {
    return {
      connectionsOpen: this.#connections.size,
      connectionsTotal: this.#metrics.connectionsTotal,
      messagesSentTotal: this.#metrics.messagesSentTotal,
      subscriptionsTotal: this.#metrics.subscriptionsTotal,
      channels: CHANNEL_NAMES.map((channel) => ({ channel, count: this.#broadcaster.subscriptions.count(channel) }))
    }
  }

  /** Everything that is counted, for the exposition. */
  totals () {
    const { messagesReceivedTotal, bytesSentTotal, replacedTotal, droppedTotal, laggedTotal, laggingMs } = this.#metrics
    return {
      metrics: this.wsMetrics(),
      subscribers: new Map(CHANNEL_NAMES.map((name) => [name, this.#broadcaster.subscriptions.count(name)])),
      messagesReceivedTotal,
      bytesSentTotal,
      replacedTotal,
      droppedTotal,
      laggedTotal,
      laggingMs,
      ...this.#readOutboxes(),
      logged: this.#broadcaster.log.size,
      gaps: this.#metrics.gaps.read(),
      outcomes: this.#metrics.outcomes.read(),
      refused: this.#metrics.refused.read(),
      closed: this.#metrics.closed.read(),
      protocolErrors: this.#metrics.protocolErrors.read(),
      pingRoundTrip: this.#metrics.pingRoundTrip.read(),
      fanOut: this.#metrics.fanOut.read(),
      drainMs: this.#metrics.drainMs,
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
    this.#broadcaster.subscriptions.close()
  }

  async #drain (withinMs: number): Promise<void> {
    const startedAt = this.#clock.monotonic()
    if (this.#connections.size > 0) {
      const empty = new Promise<void>((resolve) => { this.#whenEmpty = resolve })
      new Drain({ clock: this.#clock, envelope: this.#envelope, connections: this.#connections }).start(withinMs)
      await empty
    }
    this.#metrics.drainMs = this.#clock.monotonic() - startedAt
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
    this.#metrics.connectionsTotal++
    if (this.#timers.length > 0) return
    this.#timers = [this.#clock.every(this.#options.heartbeatMs, () => this.#heartbeat.beat(this.#connections))]
    this.#livenessTimer.scheduleAt(this.#clock.monotonic() + this.#options.pingMs)
  }

  #remove (connection: Connection): void {
    this.#connections.delete(connection)
    connection.closed()
    this.#broadcaster.subscriptions.leaveAll(connection)
    this.#admission.closed(connection.address)
    if (this.#connections.size > 0) return
    for (const timer of this.#timers.splice(0)) timer.cancel()
    this.#livenessTimer.stop()
    this.#whenEmpty?.()
  }

  // A throw in a listener of a socket would end the host's process.
  #received (connection: Connection, data: Buffer): void {
    try {
      this.#metrics.messagesReceivedTotal++
      if (this.#accepts(connection)) this.#dispatcher.dispatch(connection, data)
    } catch (err) {
      this.#onCallbackError('message', err)
      this.#dispatcher.fail(connection, 'internal_error')
    }
  }

  #receivedPong (connection: Connection): void {
    if (connection.acceptPong()) connection.markAlive()
    else this.#accepts(connection)
  }

  #accepts (connection: Connection): boolean {
    if (connection.isClosing) return false
    connection.markAlive()
    if (connection.takeFrameToken()) return true
    this.#dispatcher.fail(connection, 'rate_limited')
    connection.close('rate_limited')
    return false
  }
}
